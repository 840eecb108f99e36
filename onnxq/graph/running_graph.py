"""The graph that onnxruntime runs, node by node, joined with what was seen of it while it ran."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto, TensorProto

from onnxq.graph.edits import walk_graphs
from onnxq.graph.kernel_arithmetic import arithmetic_of
from onnxq.graph.multiply_adds import Shape, count_macs
from onnxq.measurements import Arithmetic

_NAMED_BY_PLACE = re.compile(r"_(\d+)$")
_RUNTIME_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float",
    TensorProto.DOUBLE: "double",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}


@dataclass(frozen=True)
class Seen:
    """One run of a node, as the profile tells it.

    Attributes:
        name: Of the node; where it has none, its operator and its number in the graph.
        operator: Its type.
        inputs: Type and shape of each tensor that it read, missing slots and weights that
            onnxruntime packed left out.
        outputs: The same of what it wrote.
        is_inner: Whether it ran inside an If, Loop or Scan.
    """

    name: str
    operator: str
    inputs: tuple[tuple[str, Shape], ...]
    outputs: tuple[tuple[str, Shape], ...]
    is_inner: bool = False


@dataclass(frozen=True, eq=False)
class Kernel:
    """A node of the graph that is run.

    Attributes:
        node: As it stands there.
        name: As the profile calls it.
        macs: Multiply-adds of one inference.
        arithmetic: What it computes with.
        output_dtypes: Types of its outputs, by tensor name.
        is_inner: Whether it stands in the body of an If, Loop or Scan.
    """

    node: NodeProto
    name: str
    macs: int
    arithmetic: Arithmetic
    output_dtypes: dict[str, str]
    is_inner: bool

    @property
    def key(self) -> tuple[str, str]:
        """Name and operator: what the profile tells nodes apart by."""
        return self.name, self.node.op_type


@dataclass(frozen=True, eq=False)
class RunningGraph:
    """What onnxruntime runs.

    Attributes:
        graph: As it wrote it, large weights left out.
        kernels: Its nodes in the order in which they first ran; those in bodies that were not
            taken are left out.
        dtypes: Types of initializers and of what kernels write, by tensor name.
        unmatched: Nodes that only the graph or only the profile has.
    """

    graph: GraphProto
    kernels: tuple[Kernel, ...]
    dtypes: dict[str, str]
    unmatched: tuple[str, ...]


def read_running_graph(path: Path, seen: Sequence[Seen]) -> RunningGraph:
    """Join the graph that onnxruntime wrote with the profile of one run of it.

    Args:
        path: Where it was written; its weights are not read.
        seen: The runs of nodes, in the order in which they ran.

    Returns:
        The nodes, with their multiply-adds on the shapes that they ran on.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    stored = {one.name: one for inner in walk_graphs(graph) for one in inner.initializer}
    waiting = _Waiting(graph)
    runs: dict[int, tuple[NodeProto, list[Seen]]] = {}
    strange: list[str] = []
    for one in seen:
        node = waiting.take(one)
        if node is None:
            strange.append(one.name)
        else:
            runs.setdefault(id(node), (node, []))[1].append(one)
    kernels = tuple(_kernel(node, its_runs, stored) for node, its_runs in runs.values())
    idle = [node.name or node.op_type for node in graph.node if id(node) not in runs]
    dtypes = {name: _runtime_dtype(one.data_type) for name, one in stored.items()}
    for kernel in kernels:
        dtypes |= kernel.output_dtypes
    return RunningGraph(graph, kernels, dtypes, (*dict.fromkeys(strange), *idle))


class _Waiting:
    """Nodes that no run was seen of yet, by where they stand, name and operator.

    onnxruntime names a node without a name by its operator and its number in the graph, which the
    file that it writes does not tell; such nodes are taken in graph order.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._nodes: defaultdict[tuple[bool, str, str], deque[NodeProto]] = defaultdict(deque)
        for inner in walk_graphs(graph):
            for node in inner.node:
                self._nodes[inner is not graph, node.name, node.op_type].append(node)
        self._inner: dict[tuple[str, str], NodeProto | None] = {}

    def take(self, seen: Seen) -> NodeProto | None:
        if not seen.is_inner:
            return self._next(seen)
        key = (seen.name, seen.operator)
        if key not in self._inner:  # else it is another round of a loop
            self._inner[key] = self._next(seen)
        return self._inner[key]

    def _next(self, seen: Seen) -> NodeProto | None:
        places = [(seen.is_inner, seen.name, seen.operator)]
        if _NAMED_BY_PLACE.sub("", seen.name) == seen.operator:
            places.append((seen.is_inner, "", seen.operator))
        return next((self._nodes[at].popleft() for at in places if self._nodes[at]), None)


def _kernel(node: NodeProto, runs: Sequence[Seen], stored: dict[str, TensorProto]) -> Kernel:
    last = runs[-1]
    outputs = [name for name in node.output if name]
    dtypes = dict(zip(outputs, (dtype for dtype, _ in last.outputs), strict=False))
    macs = sum(
        count_macs(node, _slots(node, run, stored), [shape for _, shape in run.outputs])
        for run in runs
    )
    arithmetic = arithmetic_of(
        node, [dtype for dtype, _ in last.inputs], [dtype for dtype, _ in last.outputs]
    )
    return Kernel(node, last.name, macs, arithmetic, dtypes, last.is_inner)


def _slots(node: NodeProto, run: Seen, stored: dict[str, TensorProto]) -> list[Shape | None]:
    """Give each input its shape: the profile leaves out missing ones and packed weights."""
    left = deque(shape for _, shape in run.inputs)
    return [_slot(name, left, stored.get(name)) for name in node.input]


def _slot(name: str, left: deque[Shape], weight: TensorProto | None) -> Shape | None:
    if not name:
        return None
    if weight is None:
        return left.popleft() if left else None
    shape = tuple(weight.dims)
    if left and left[0] == shape:
        left.popleft()
    return shape


def _runtime_dtype(dtype: int) -> str:
    return _RUNTIME_DTYPES.get(dtype) or TensorProto.DataType.Name(dtype).lower()


def kernels_of(running: RunningGraph, *, inner: bool) -> Iterable[Kernel]:
    """Yield the kernels of the main graph, or those in bodies of If, Loop and Scan.

    Args:
        running: The graph.
        inner: Which.
    """
    return (kernel for kernel in running.kernels if kernel.is_inner == inner)
