"""What the helps of several commands say alike."""

from pathlib import Path

import click

from onnxq.cli.parameter_types import Spec

ABOUT_MODEL = (
    "MODEL is a .onnx, .keras, .h5, .tflite or .pt2 file, a TorchScript file, a SavedModel "
    "folder, or a function that returns a PyTorch module or a Keras model: pkg.mod:fn or "
    "file.py:fn."
)
MODEL_HEADING = ("weights", "input", "signature", "trust")
CALIBRATION_HEADING = ("calib_rows", "histogram_sample", "max_memory", "cache_dir", "cache")


def model_argument() -> click.Argument:
    """Return the argument that names one model."""
    return click.Argument(["model"], type=Spec())


def files_in(out: str) -> list[str]:
    """Return the names of what lies in an output: files of a folder, or the one file."""
    path = Path(out)
    if path.is_file():
        return [path.name]
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
