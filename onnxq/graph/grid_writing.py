"""Grids are written into a graph: scales and zero points become initializers, each stored once."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto

from onnxq.graph.edits import drop_attributes, fresh_name, taken_names
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid


class GridWriter:
    """Writes grids, pairs and constants into one graph under names of their own.

    Initializers that are there already are never changed: other nodes may read them.
    """

    def __init__(self, graph: GraphProto) -> None:
        """Begin with a graph of the caller's own.

        Args:
            graph: Is changed by the methods.
        """
        self._graph = graph
        self._taken = taken_names(graph)
        self._written: dict[tuple[int, tuple[int, ...], bytes], str] = {}

    def name(self, base: str) -> str:
        """Return a name that nothing in the graph has, and take it.

        Args:
            base: What it should begin with.
        """
        return fresh_name(base, self._taken)

    def constant(self, values: NDArray[np.generic], base: str, dtype: int = 0) -> str:
        """Write an initializer, or find the equal one that was written before.

        Args:
            values: Of it.
            base: What its name should begin with.
            dtype: ``TensorProto.DataType``, where numpy has no such dtype; 0 for that of values.

        Returns:
            Its name.
        """
        tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape))
        tensor.data_type = dtype or tensor.data_type
        key = (tensor.data_type, values.shape, tensor.raw_data)
        if key not in self._written:
            tensor.name = self._written[key] = self.name(base)
            self._graph.initializer.append(tensor)
        return self._written[key]

    def assign(self, node: NodeProto, grid: Grid) -> None:
        """Give a QuantizeLinear or DequantizeLinear another grid, its zero point said plainly.

        Args:
            node: Either; changed.
            grid: The new grid.
        """
        names = self._names(grid, node.input[0])
        data = node.input[0]
        del node.input[:]
        node.input.extend([data, *names])
        drop_attributes(node, ("axis", "output_dtype"))
        if not grid.is_per_tensor:
            node.attribute.append(onnx.helper.make_attribute("axis", grid.axis))

    def quantizer(self, source: str, grid: Grid, target: str) -> NodeProto:
        """Make a QuantizeLinear; the caller inserts it.

        Args:
            source: The float tensor.
            grid: Of the integers.
            target: Name of the integer tensor.
        """
        return self._node(QUANTIZE, source, grid, target)

    def dequantizer(self, source: str, grid: Grid, target: str) -> NodeProto:
        """Make a DequantizeLinear; the caller inserts it.

        Args:
            source: The integer tensor.
            grid: Of the integers.
            target: Name of the float tensor.
        """
        return self._node(DEQUANTIZE, source, grid, target)

    def _node(self, operator: str, source: str, grid: Grid, target: str) -> NodeProto:
        node = onnx.helper.make_node(
            operator, [source], [target], self.name(f"{target}_{operator}")
        )
        self.assign(node, grid)
        return node

    def _names(self, grid: Grid, base: str) -> tuple[str, str]:
        integers = onnx.helper.tensor_dtype_to_np_dtype(grid.dtype)
        points = np.broadcast_to(grid.zero_point, grid.scale.shape).astype(integers)
        return (
            self.constant(grid.scale, f"{base}_scale"),
            self.constant(points, f"{base}_zero_point"),
        )


def shifted(grid: Grid, dtype: int) -> Grid:
    """Move a grid of 8-bit integers to the other kind of them: the same real numbers.

    Args:
        grid: int8 or uint8.
        dtype: ``TensorProto.UINT8`` or ``TensorProto.INT8``.

    Returns:
        Zero points 128 higher or lower; the grid itself where it is of that dtype already.
    """
    if grid.dtype == dtype:
        return grid
    by = 128 if dtype == TensorProto.UINT8 else -128
    points = grid.zero_point.astype(np.int16) + by
    kind = np.uint8 if dtype == TensorProto.UINT8 else np.int8
    return Grid(grid.scale, points.astype(kind), dtype, grid.axis)
