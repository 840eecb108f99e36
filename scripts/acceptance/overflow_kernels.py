"""Which products onnxruntime's kernels add in 16 bits, and whether all sums are as we compute them.

Run by ``scripts/acceptance/overflow`` under qemu-user, as a CPU with AVX2 and without VNNI. It
prints a line for each shape, and ends with exit 1 where a kernel does what the analysis does not
expect.
"""

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxq.arrays import Array
from onnxq.quantization.conv_windows import conv_windows
from onnxq.quantization.pair_overflow import SAFE_SUM, packed_rows

INT16 = np.iinfo(np.int16)
LARGEST = 127
_TOP = 255


@dataclass(frozen=True)
class Shape:
    """A node to try.

    Attributes:
        operator: QLinearConv or MatMulInteger.
        weights: Shape of its weights.
        inputs: Shape of what it reads.
        attributes: Of the node.
    """

    operator: str
    weights: tuple[int, ...]
    inputs: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


SHAPES = (
    Shape("MatMulInteger", (12, 16), (1, 12)),
    Shape("MatMulInteger", (11, 5), (3, 11)),
    Shape("MatMulInteger", (18, 33), (7, 18)),
    Shape("QLinearConv", (8, 3, 3, 3), (1, 3, 6, 6)),
    Shape("QLinearConv", (8, 4, 3, 3), (1, 4, 6, 6)),
    Shape("QLinearConv", (8, 5, 3, 3), (1, 5, 6, 6)),
    Shape("QLinearConv", (8, 3, 7, 7), (1, 3, 9, 9), {"strides": [2, 2]}),
    Shape("QLinearConv", (16, 8, 1, 1), (1, 8, 5, 5)),
    Shape("QLinearConv", (16, 7, 1, 1), (1, 7, 5, 5)),
    Shape("QLinearConv", (6, 3, 3, 3), (1, 6, 6, 6), {"group": 2}),
    Shape("QLinearConv", (8, 4, 3, 3), (1, 8, 6, 6), {"group": 2}),
    Shape("QLinearConv", (6, 1, 3, 3), (1, 3, 6, 6), {"group": 3}),
    Shape("QLinearConv", (16, 1, 3, 3), (1, 16, 6, 6), {"group": 16}),
    Shape("QLinearConv", (8, 1, 5, 5), (1, 8, 8, 8), {"group": 8}),
    Shape("QLinearConv", (6, 3, 5), (1, 3, 9)),
)
LARGE = (
    *(Shape("MatMulInteger", (k, 40), (m, k)) for k in (1, 63, 256, 1000) for m in (1, 2, 9)),
    Shape("QLinearConv", (32, 32, 3, 3), (1, 32, 14, 14), {"pads": [1] * 4}),
    Shape("QLinearConv", (64, 16, 3, 3), (2, 16, 9, 9), {"strides": [2, 2], "pads": [1] * 4}),
    Shape("QLinearConv", (48, 30, 3, 3), (1, 30, 12, 12), {"dilations": [2, 2]}),
    Shape("QLinearConv", (128, 96, 1, 1), (1, 96, 14, 14)),
    Shape("QLinearConv", (64, 3, 7, 7), (1, 3, 32, 32), {"strides": [2, 2], "pads": [3] * 4}),
    Shape("QLinearConv", (40, 1, 3, 3), (1, 40, 20, 20), {"group": 40, "pads": [1] * 4}),
    Shape("QLinearConv", (40, 10, 3, 3), (1, 40, 10, 10), {"group": 4, "pads": [1] * 4}),
)


def main() -> int:
    """Try all shapes; 1 if one is not as expected."""
    check, shapes = (check_pairs, SHAPES) if sys.argv[1] == "pairs" else (check_sums, LARGE)
    good = [check(Kernel(shape)) for shape in shapes]
    print(f"{sum(good)} of {len(good)} shapes are as the analysis has them")
    return 0 if all(good) else 1


class Kernel:
    """A node of one shape: as onnxruntime computes it, and as we do.

    Attributes:
        shape: Of the node.
        node: The node.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        is_conv = shape.operator == "QLinearConv"
        names = ["x", "s", "z", "w", "s", "wz", "ys", "yz"] if is_conv else ["x", "w", "z", "wz"]
        self.node = helper.make_node(shape.operator, names, ["y"], **shape.attributes)
        self._scale = np.float32(2**-9)

    def open(self, weights: NDArray[np.int8]) -> Callable[[Array], Array]:
        """Return what onnxruntime computes with some weights."""
        constants = {"z": np.uint8(0), "wz": np.int8(0), "w": weights}
        output = TensorProto.INT32
        if self.shape.operator == "QLinearConv":
            constants |= {"s": np.float32(1), "ys": 1 / self._scale, "yz": np.uint8(128)}
            output = TensorProto.UINT8
        graph = helper.make_graph(
            [self.node],
            "kernel",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, self.shape.inputs)],
            [helper.make_tensor_value_info("y", output, None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

        def predict(activation: Array) -> Array:
            found: Array = session.run(None, {"x": activation})[0]
            return found

        return predict

    def compute(self, weights: NDArray[np.int8], activation: Array, *, saturates: bool) -> Array:
        """Compute the same in numpy, with sums of two held in 16 bits or not."""
        is_conv = self.shape.operator == "QLinearConv"
        rows = packed_rows(self.node, weights, 0 if is_conv else 1)
        # Where the kernel adds in 32 bits there are no packed rows.
        plain = np.moveaxis(weights, 1, -1).reshape(len(weights), -1) if is_conv else weights.T
        take = matrix_reader(activation)
        if is_conv:
            take = conv_windows(self.node, weights.shape, activation, 0).take
        channels = [
            add_products(row, channel, take, saturates=saturates and rows.size > 0)
            for channel, row in enumerate(plain)
        ]
        sums = np.stack(channels, axis=1 if is_conv else -1)
        return self.finish(sums)

    def finish(self, sums: NDArray[np.int64]) -> Array:
        """Turn sums into what the node returns: they themselves, or uint8 of another scale."""
        if self.shape.operator != "QLinearConv":
            return sums.astype(np.int32)
        scaled = np.rint(sums.astype(np.float32) * self._scale) + np.float32(128)
        integers: Array = np.clip(scaled, 0, 255).astype(np.uint8)
        return integers


def matrix_reader(activation: Array) -> Callable[[int, int], Array]:
    """Return what looks up a column of the activations."""

    def take(place: int, channel: int) -> Array:  # noqa: ARG001 - all channels read the same
        column: Array = activation[..., place]
        return column

    return take


def add_products(
    row: NDArray[np.int8], channel: int, take: Callable[[int, int], Array], *, saturates: bool
) -> NDArray[np.int64]:
    """Add the products of one output channel, two at a time."""
    total = np.zeros_like(take(0, channel), np.int64)
    for first in range(0, len(row), 2):
        pair = np.zeros_like(total)
        for place in range(first, min(first + 2, len(row))):
            pair += take(place, channel).astype(np.int64) * int(row[place])
        total += np.clip(pair, INT16.min, INT16.max) if saturates else pair
    return total


def check_pairs(kernel: Kernel) -> bool:
    """Feed 255 at every two places, all else zero: which sums come out wrong?"""
    weights = np.full(kernel.shape.weights, LARGEST, np.int8)
    predict = kernel.open(weights)
    is_conv = kernel.shape.operator == "QLinearConv"
    rows = packed_rows(kernel.node, weights, 0 if is_conv else 1)
    count = rows.shape[1] or weights[0].size
    exact = int(kernel.finish(np.array(2 * _TOP * LARGEST)))
    found = set()
    for first, second in itertools.combinations(range(count), 2):
        activation = np.zeros(kernel.shape.inputs, np.uint8)
        for place in (first, second):
            activation[place_of(kernel.shape, place)] = _TOP
        # The first result alone: others see the two at other places of the kernel, or not at all.
        if int(predict(activation).flat[0]) != exact:
            found.add((first, second))
    expected = {(at, at + 1) for at in range(0, rows.shape[1] - 1, 2)}
    print(f"{words(kernel.shape)}: {len(found)} pairs saturate, {len(expected)} expected")
    return found == expected


def place_of(shape: Shape, place: int) -> tuple[int, ...]:
    """Return where the activation is that a weight of the first position is multiplied with."""
    if shape.operator != "QLinearConv":
        return 0, place
    offset, channel = divmod(place, shape.weights[1])
    return 0, channel, *(int(at) for at in np.unravel_index(offset, shape.weights[2:]))


def check_sums(kernel: Kernel) -> bool:
    """Compare random sums, of small and of large weights, with saturating arithmetic."""
    generator = np.random.default_rng(0)
    same, differing = True, 0
    for most in (SAFE_SUM // 2, LARGEST):
        weights = generator.integers(-most, most + 1, kernel.shape.weights, np.int8)
        activation = generator.integers(0, 256, kernel.shape.inputs, np.uint8)
        found = kernel.open(weights)(activation)
        same &= np.array_equal(found, kernel.compute(weights, activation, saturates=True))
        exact = kernel.compute(weights, activation, saturates=False)
        differing += int((found != exact).sum())
        same &= most == LARGEST or np.array_equal(found, exact)
    state = "as computed" if same else "NOT as computed"
    print(f"{words(kernel.shape)}: {state}; {differing} results differ from exact ones")
    return bool(same)


def words(shape: Shape) -> str:
    """Name a shape."""
    details = ", ".join(f"{name} {value}" for name, value in shape.attributes.items())
    return f"{shape.operator} {list(shape.weights)} on {list(shape.inputs)} {details}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
