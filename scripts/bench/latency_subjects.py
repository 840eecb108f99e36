"""The models and rows of the latency benchmark, made once into a folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import onnxq

ROOT = Path(__file__).parents[2]
NETS = ROOT / "scripts" / "bench" / "nets.py"
CALIBRATION_ROWS = 64
HELD_OUT_ROWS = 16
_TOKENS = 128
_WORD_PIECES = 30_522
_TAGGED_TOKENS = 64
_WORDS = 10_000


@dataclass(frozen=True)
class Shape:
    """What a model takes, a row without the batch axis.

    Attributes:
        inputs: Shape of each input, by name.
        highest: Highest integer; 0 for normal float32 numbers.
        kind: What the engines that quantize by themselves need to know: ``cnn`` or ``other``.
    """

    inputs: dict[str, tuple[int, ...]]
    highest: int = 0
    kind: str = "other"


_PHOTO = Shape({"image": (3, 224, 224)}, kind="cnn")

SHAPES: dict[str, Shape] = {
    "resnet18": _PHOTO,
    "resnet50": _PHOTO,
    "mobilenet_v2": _PHOTO,
    "mobilenet_v3_small": _PHOTO,
    "bert_small": Shape({"input_ids": (_TOKENS,), "attention_mask": (_TOKENS,)}, _WORD_PIECES - 1),
    "vit_s": Shape({"image": (3, 224, 224)}),
    "lstm_tagger": Shape({"tokens": (_TAGGED_TOKENS,)}, _WORDS - 1),
    "gru_tagger": Shape({"tokens": (_TAGGED_TOKENS,)}, _WORDS - 1),
    "mnist_cnn": Shape({"image": (1, 28, 28)}, kind="cnn"),
    "mnist_mlp": Shape({"image": (28, 28)}),
}
"""By the name of its function in nets.py."""


@dataclass(frozen=True)
class Subject:
    """A model with its rows on disk.

    Attributes:
        name: Of its function in nets.py.
        model: The float model as converted, not prepared.
        calibration: An .npz of rows to calibrate on.
        rows: An .npz of rows to run and to compare outputs on.
        kind: ``cnn`` or ``other``.
    """

    name: str
    model: Path
    calibration: Path
    rows: Path
    kind: str


def make_subject(name: str, folder: Path) -> Subject:
    """Make a subject; what lies in the folder from before is taken as it is.

    Args:
        name: A key of :data:`SHAPES`.
        folder: Where its files lie.

    Returns:
        The subject.
    """
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[name]
    model, calibration, rows = home / "given.onnx", home / "calibration.npz", home / "rows.npz"
    if not model.exists():
        onnxq.convert(f"{NETS}:{name}", input=_declared(shape), out=str(model))
    if not rows.exists():
        arrays = _draw(shape, CALIBRATION_ROWS + HELD_OUT_ROWS)
        _save(calibration, {key: one[HELD_OUT_ROWS:] for key, one in arrays.items()})
        _save(rows, {key: one[:HELD_OUT_ROWS] for key, one in arrays.items()})
    return Subject(name, model, calibration, rows, shape.kind)


def _declared(shape: Shape) -> tuple[str, ...]:
    dtype = f":int64:0..{shape.highest}" if shape.highest else ""
    return tuple(f"{n}:N{''.join(f'x{d}' for d in s)}{dtype}" for n, s in shape.inputs.items())


def _save(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def _draw(shape: Shape, count: int) -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(0)
    if not shape.highest:
        return {
            name: generator.standard_normal((count, *sizes), np.float32)
            for name, sizes in shape.inputs.items()
        }
    first, *masks = shape.inputs
    tokens = generator.integers(1, shape.highest + 1, (count, *shape.inputs[first]))
    return {first: tokens, **{name: np.ones_like(tokens) for name in masks}}
