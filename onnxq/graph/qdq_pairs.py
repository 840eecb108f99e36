"""QuantizeLinear and DequantizeLinear as they stand in a graph: grids, pairs, who reads them.

What a rewrite of a quantized graph needs to see. Grids are read as the ONNX specification has
them (QuantizeLinear-13 to -25): a scale and a zero point for the whole tensor, or one of each for
every index of an axis.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from onnxq.graph.edits import (
    Use,
    attribute_int,
    captured_names,
    initializers_of,
    producers_of,
    uses_of,
)

QUANTIZE = "QuantizeLinear"
DEQUANTIZE = "DequantizeLinear"
_ZERO_POINT_SLOT = 2
_WHOLE_TENSOR = -1


@dataclass(frozen=True, eq=False)
class Grid:
    """The real numbers that integers stand for: ``(q - zero_point) * scale``.

    Attributes:
        scale: float32, ``[]`` or ``[channels]``.
        zero_point: Integers of the same shape, in the tensor's dtype; zeros where it was omitted.
        dtype: ``TensorProto.DataType`` of the integers.
        axis: Along which there is a scale each; -1 where there is one.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.generic]
    dtype: int
    axis: int

    @property
    def is_per_tensor(self) -> bool:
        """Whether one scale holds for the whole tensor."""
        return self.axis == _WHOLE_TENSOR

    @property
    def low(self) -> NDArray[np.float64]:
        """The least real number that it has, for each scale."""
        return self._real(int(self.integers.min))

    @property
    def high(self) -> NDArray[np.float64]:
        """The largest real number that it has, for each scale."""
        return self._real(int(self.integers.max))

    @property
    def integers(self) -> np.iinfo:
        """The limits of the integers, and their dtype as numpy has it."""
        return np.iinfo(helper.tensor_dtype_to_np_dtype(self.dtype))

    def _real(self, integer: int) -> NDArray[np.float64]:
        # A scale is float32; an integer less its zero point is small: the product is exact.
        return (integer - self.zero_point.astype(np.float64)) * self.scale.astype(np.float64)

    def equals(self, other: "Grid") -> bool:
        """Whether two grids have the same points, bit for bit.

        Args:
            other: Another grid.
        """
        return (
            self.dtype == other.dtype
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """A graph, indexed for looking up its QuantizeLinear and DequantizeLinear nodes.

    It is a snapshot: whoever edits the graph makes a new one.

    Attributes:
        graph: The graph.
        constants: Its initializers by name.
        producers: The node that writes each tensor.
        uses: Every place where each tensor is read, subgraphs included.
        kept: Names that must stay what they are: inputs and outputs of the graph, and what the
            body of an If, Loop or Scan reads.
        captured: The latter alone.
    """

    graph: GraphProto
    constants: dict[str, TensorProto] = field(default_factory=dict)
    producers: dict[str, NodeProto] = field(default_factory=dict)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    captured: frozenset[str] = frozenset()

    def readers(self, name: str) -> list[NodeProto]:
        """Return the nodes that read a tensor, one for each place where they do.

        Args:
            name: Of the tensor.
        """
        return [use.node for use in self.uses.get(name, ())]

    def producer(self, name: str, operator: str) -> NodeProto | None:
        """Return the node that writes a tensor if it is of a type.

        Args:
            name: Of the tensor.
            operator: The type.
        """
        node = self.producers.get(name)
        return node if node is not None and node.op_type == operator else None

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """Return the value of an initializer, or None for a tensor that is none.

        Args:
            name: Of the tensor.
        """
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def grid(self, node: NodeProto) -> Grid | None:
        """Read the grid of a QuantizeLinear or DequantizeLinear.

        Args:
            node: Either.

        Returns:
            The grid; None where it is computed while the model runs, or is one of blocks, or is
            along an axis that is counted from the back of a tensor that is not constant.
        """
        if attribute_int(node, "block_size", 0):
            return None
        given = self.constant(node.input[1])
        if given is None:
            return None
        scale = given.astype(np.float32)
        dtype, zero_point = self._zero_point(node)
        if zero_point is None:
            return None
        # A scale of one element stands for the whole tensor, whatever its rank.
        if scale.size == 1:
            return Grid(scale.reshape(()), zero_point.reshape(()), dtype, _WHOLE_TENSOR)
        axis = attribute_int(node, "axis", 1)
        axis += self._rank(node.input[0]) if axis < 0 else 0
        zero_point = np.broadcast_to(zero_point, scale.shape)
        return Grid(scale, zero_point, dtype, axis) if axis >= 0 else None

    def _rank(self, name: str) -> int:
        """Return the rank of a constant, quantized or not; 0 of others."""
        quantizer = self.producer(name, QUANTIZE)
        stored = self.constants.get(name if quantizer is None else quantizer.input[0])
        return 0 if stored is None else len(stored.dims)

    def _zero_point(self, node: NodeProto) -> tuple[int, NDArray[np.generic] | None]:
        """Return dtype and zero point; without one, that of QuantizeLinear is uint8."""
        if len(node.input) > _ZERO_POINT_SLOT and node.input[_ZERO_POINT_SLOT]:
            tensor = self.constants.get(node.input[_ZERO_POINT_SLOT])
            if tensor is None:
                return TensorProto.UNDEFINED, None
            return tensor.data_type, numpy_helper.to_array(tensor)
        dtype = attribute_int(node, "output_dtype", TensorProto.UINT8)
        stored = self.constants.get(node.input[0])
        if node.op_type == DEQUANTIZE:
            quantizer = self.producer(node.input[0], QUANTIZE)
            if quantizer is not None:
                return self._zero_point(quantizer)
            dtype = TensorProto.UINT8 if stored is None else stored.data_type
        return dtype, np.zeros((), helper.tensor_dtype_to_np_dtype(dtype))


def index_pairs(graph: GraphProto) -> Pairs:
    """Index a graph.

    Args:
        graph: The top graph of a model; not copied, not changed.

    Returns:
        The index, true until the graph is edited.
    """
    interface = {value.name for value in (*graph.input, *graph.output)}
    captured = frozenset(captured_names(graph))
    return Pairs(
        graph=graph,
        constants=initializers_of(graph),
        producers=producers_of(graph),
        uses=uses_of(graph),
        kept=frozenset(interface | captured),
        captured=captured,
    )
