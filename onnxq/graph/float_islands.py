"""Float kernels beside integer ones in the graph that onnxruntime runs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx import GraphProto

from onnxq.audits import Place
from onnxq.graph.qdq_pairs import Pairs, index_pairs
from onnxq.graph.running_graph import Kernel, RunningGraph, kernels_of

QUANTIZE = "QuantizeLinear"
DEQUANTIZE = "DequantizeLinear"
FLOATS = frozenset({"float", "float16", "bfloat16", "double"})
LAYOUT = frozenset({"ReorderInput", "ReorderOutput", "Cast"})
"""Conversions that stay within floats."""


@dataclass(frozen=True, eq=False)
class Region:
    """Float kernels that hang together, and the conversions at their edges.

    Attributes:
        kernels: In the order in which they run; none between a DequantizeLinear and the
            QuantizeLinear that reads it.
        entries: DequantizeLinear of activations that it reads.
        weights: DequantizeLinear of constants that it reads: computed anew in each run.
        exits: QuantizeLinear that read it.
    """

    kernels: tuple[Kernel, ...]
    entries: tuple[Kernel, ...]
    weights: tuple[Kernel, ...]
    exits: tuple[Kernel, ...]

    @property
    def place(self) -> Place:
        """Where it stands, seen from the integers."""
        if self.entries and self.exits:
            return "between"
        return "start" if self.exits else "end"

    @property
    def macs(self) -> int:
        """Multiply-adds in it."""
        return sum(kernel.macs for kernel in self.kernels)


@dataclass(frozen=True, eq=False)
class Edges:
    """Who makes and who reads each tensor of the main graph that is run.

    Attributes:
        makers: The kernel that writes a tensor, by its name.
        readers: The kernels that read it, once for each slot.
        dtypes: Types of tensors as onnxruntime names them, such as ``uint8``.
        constants: Names of initializers.
        pairs: The grids of its QuantizeLinear and DequantizeLinear.
    """

    makers: dict[str, Kernel] = field(default_factory=dict)
    readers: dict[str, list[Kernel]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    constants: frozenset[str] = frozenset()
    pairs: Pairs = field(default_factory=lambda: Pairs(GraphProto()))

    def is_float_constant(self, tensor: str) -> bool:
        """Whether a tensor is an initializer of floats.

        Args:
            tensor: Its name.
        """
        return tensor in self.constants and self.dtypes.get(tensor) in FLOATS

    def is_one_grid(self, first: Kernel, second: Kernel) -> bool:
        """Whether two QuantizeLinear or DequantizeLinear have the same constant scales.

        Args:
            first: Either.
            second: Either.
        """
        left, right = self.pairs.grid(first.node), self.pairs.grid(second.node)
        return left is not None and right is not None and left.equals(right)

    def maker(self, tensor: str, operator: str) -> Kernel | None:
        """Return who writes a tensor if it is of a type.

        Args:
            tensor: Its name.
            operator: The type.
        """
        kernel = self.makers.get(tensor)
        return kernel if kernel is not None and kernel.node.op_type == operator else None


def trace_edges(running: RunningGraph) -> Edges:
    """Index the main graph.

    Args:
        running: The graph that is run.
    """
    makers: dict[str, Kernel] = {}
    readers: defaultdict[str, list[Kernel]] = defaultdict(list)
    for kernel in kernels_of(running, inner=False):
        makers |= {name: kernel for name in kernel.node.output if name}
        for name in filter(None, kernel.node.input):
            readers[name].append(kernel)
    constants = frozenset(tensor.name for tensor in running.graph.initializer)
    return Edges(makers, dict(readers), running.dtypes, constants, index_pairs(running.graph))


def find_regions(running: RunningGraph, edges: Edges) -> tuple[Region, ...]:
    """Find the float regions that touch integers.

    Args:
        running: The graph that is run.
        edges: Of it.

    Returns:
        Regions between integers, requantizations among them, and those at the model's start and
        end that multiply.
    """
    floats = [kernel for kernel in kernels_of(running, inner=False) if _is_float(kernel)]
    regions = [_region(group, edges) for group in _groups(floats, edges)]
    touching = [one for one in regions if one.entries or one.exits or one.weights]
    wanted = [one for one in touching if one.macs or one.place == "between"]
    return (*wanted, *_requantizations(running, edges))


def _is_float(kernel: Kernel) -> bool:
    return kernel.arithmetic == "float" or kernel.node.op_type in LAYOUT


def _groups(floats: list[Kernel], edges: Edges) -> list[list[Kernel]]:
    """Group kernels that hand each other floats, each group and all groups in running order."""
    place = {id(kernel): number for number, kernel in enumerate(floats)}
    group_of = list(range(len(floats)))

    def top(number: int) -> int:
        while group_of[number] != number:
            group_of[number] = group_of[group_of[number]]
            number = group_of[number]
        return number

    for number, kernel in enumerate(floats):
        for name in kernel.node.input:
            maker = edges.makers.get(name)
            if maker is not None and id(maker) in place:
                group_of[top(number)] = top(place[id(maker)])
    groups: defaultdict[int, list[Kernel]] = defaultdict(list)
    for number, kernel in enumerate(floats):
        groups[top(number)].append(kernel)
    return list(groups.values())


def _region(group: list[Kernel], edges: Edges) -> Region:
    read = [edges.maker(name, DEQUANTIZE) for kernel in group for name in kernel.node.input]
    dequantizers = _once(kernel for kernel in read if kernel is not None)
    written = (name for kernel in group for name in kernel.node.output if name)
    readers = (reader for name in written for reader in edges.readers.get(name, ()))

    def is_weight(kernel: Kernel) -> bool:
        return kernel.node.input[0] in edges.constants

    return Region(
        kernels=tuple(group),
        entries=tuple(one for one in dequantizers if not is_weight(one)),
        weights=tuple(filter(is_weight, dequantizers)),
        exits=_once(one for one in readers if one.node.op_type == QUANTIZE),
    )


def _requantizations(running: RunningGraph, edges: Edges) -> Iterable[Region]:
    for kernel in kernels_of(running, inner=False):
        if kernel.node.op_type != QUANTIZE:
            continue
        maker = edges.maker(kernel.node.input[0], DEQUANTIZE)
        if maker is not None:
            yield Region(kernels=(), entries=(maker,), weights=(), exits=(kernel,))


def _once(kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
    return tuple({id(kernel): kernel for kernel in kernels}.values())
