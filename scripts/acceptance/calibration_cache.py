"""The cache of calibrations: one hit, and what makes it miss.

Usage: python scripts/acceptance/calibration_cache.py FOLDER
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import onnxq

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from calibration_models import make_subject

ROWS = 64


@dataclass
class Kit:
    """A model and rows as files, which each case changes.

    Attributes:
        model: An ``.onnx`` file.
        rows: An ``.npz`` file.
        options: Of the calibration.
    """

    model: Path
    rows: Path
    options: dict[str, object] = field(default_factory=dict)


def main() -> int:
    """Calibrate, change one thing at a time, and say whether the cache was hit."""
    folder = Path(sys.argv[1])
    subject = make_subject("resnet18", folder, ROWS)
    (path,) = subject.rows.inputs.values()
    rows = folder / "rows.npz"
    np.savez(rows, image=np.load(path))
    model = folder / "resnet18" / "converted.onnx"
    failures = 0
    print("| what | expected | found | s of the calibration | s of its process |")
    print("|---|---|---|---|---|")
    for number, (what, expected, change) in enumerate(CASES):
        kit = Kit(model, rows)
        change(kit, folder)
        done = onnxq.calibrate(
            str(kit.model), calib=str(kit.rows), out=str(folder / f"out{number}"), **kit.options
        )
        effort = done.effort
        failures += effort.origin != expected
        print(
            f"| {what} | {expected} | {effort.origin} | {effort.seconds:.2f} "
            f"| {done.seconds['calibrate']:.2f} |",
            flush=True,
        )
    return min(failures, 1)


def nothing(kit: Kit, folder: Path) -> None:
    """Change nothing."""


def weight(kit: Kit, folder: Path) -> None:
    """Change one weight by a tenth."""
    proto = onnx.load(kit.model)
    tensor = max(proto.graph.initializer, key=lambda one: len(one.raw_data))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] *= 1.1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    kit.model = folder / "weight.onnx"
    onnx.save(proto, kit.model)


def row(kit: Kit, folder: Path) -> None:
    """Change one pixel of one row."""
    image = np.load(kit.rows)["image"].copy()
    image[3, 0, 0, 0] += 0.5
    kit.rows = folder / "row.npz"
    np.savez(kit.rows, image=image)


def option(**options: object) -> Callable[[Kit, Path], None]:
    """Ask for something else."""

    def change(kit: Kit, folder: Path) -> None:  # noqa: ARG001 - as the others
        kit.options = options

    return change


def preprocessing(kit: Kit, folder: Path) -> None:
    """Give the same rows scaled, as another preprocessing would."""
    kit.rows = folder / "scaled.npz"
    np.savez(kit.rows, image=np.load(folder / "rows.npz")["image"] * np.float32(0.5))


CASES: tuple[tuple[str, str, Callable[[Kit, Path], None]], ...] = (
    ("first", "computed", nothing),
    ("the same again", "cached", nothing),
    ("another method", "cached", option(recipe=("int8-minmax",))),
    ("one weight", "computed", weight),
    ("one row", "computed", row),
    ("other preprocessing", "computed", preprocessing),
    ("every 8th value", "computed", option(histogram_sample=8)),
    ("fewer rows", "computed", option(calib_rows="32")),
    ("the first again", "cached", nothing),
)

if __name__ == "__main__":
    sys.exit(main())
