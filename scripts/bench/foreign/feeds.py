"""Calibration rows as every maker's script reads them: one row a feed."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Order:
    """What a maker's script is called with.

    Attributes:
        model: A float ONNX model.
        rows: An ``.npz`` file with an array for each input, rows first.
        out: The ONNX file to write.
        style: The maker's own flavours, one of those that the script lists.
    """

    model: Path
    rows: Path
    out: Path
    style: str


def order_of(about: str, styles: tuple[str, ...] = ("default",)) -> Order:
    """Parse ``MODEL ROWS OUT [--style STYLE]`` from the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--style", choices=styles, default=styles[0])
    order = Order(**vars(parser.parse_args()))
    order.out.parent.mkdir(parents=True, exist_ok=True)
    return order


def load_feeds(rows: Path, inputs: tuple[str, ...], count: int = 32) -> list[Feed]:
    """Read the first ``count`` rows, each as a batch of one, by input name in the given order."""
    with np.load(rows) as arrays:
        held = {name: arrays[name] for name in inputs}
    total = min(count, *(len(array) for array in held.values()))
    return [{name: held[name][row : row + 1] for name in inputs} for row in range(total)]


class FeedReader:
    """Hands out feeds one after another, as onnxruntime's calibrators ask for them.

    The makers look at its methods and not at its class; onnxruntime's own class would fix which
    onnxruntime this module imports.

    Args:
        feeds: What to hand out.
    """

    def __init__(self, feeds: list[Feed]) -> None:
        self.feeds = feeds
        self.rewind()

    def get_next(self) -> Feed | None:
        """Return the next feed, or ``None`` after the last."""
        return next(self.left, None)

    def rewind(self) -> None:
        """Start again with the first feed."""
        self.left = iter(self.feeds)
