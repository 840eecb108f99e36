"""Which nodes of a model each kernel of the optimized graph stands for.

onnxruntime does not say. It keeps names as far as it can: a node that it only replaces keeps its
name, with ``_token_`` and a number where it changed the layout; what fuses several nodes writes
the tensor that the last of them wrote; a float convolution in blocks of channels is called after
that tensor, with ``_nchwc``. From these anchors the nodes before are walked that no kernel has.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto

from onnxq.graph.edits import captured_by, initializers_of, producers_of, walk_graphs
from onnxq.graph.kernel_arithmetic import CONVERSIONS
from onnxq.graph.running_graph import Kernel

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_LIKE_ALONE = CONVERSIONS | {"Transpose"}
"""Kernels that stand for nodes of their own type alone, and nodes that only such stand for."""

_CHANGES_LAYOUT = frozenset({"ReorderOutput", "ReorderInput", "Transpose"})
_LAYOUT = re.compile(r"_token_\d+$")
_BLOCKED = "_nchwc"


@dataclass(frozen=True, eq=False)
class Origins:
    """What each kernel stands for.

    Attributes:
        nodes: Nodes of the source in graph order, by the ``id`` of the kernel.
    """

    nodes: dict[int, tuple[NodeProto, ...]]

    def of(self, kernel: Kernel) -> tuple[NodeProto, ...]:
        """Return the nodes that a kernel stands for.

        Args:
            kernel: One of those that were looked up.
        """
        return self.nodes.get(id(kernel), ())

    def names(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the names of those nodes; one without a name is left out.

        Args:
            kernel: One of those that were looked up.
        """
        return tuple(node.name for node in self.of(kernel) if node.name)


def find_origins(source: GraphProto, kernels: Sequence[Kernel]) -> Origins:
    """Find the nodes that each kernel stands for.

    Args:
        source: The graph of the model as it was given.
        kernels: Of the graph that onnxruntime made of it.

    Returns:
        The nodes, QuantizeLinear and DequantizeLinear left out unless the kernel is one. What was
        computed while the model was loaded belongs to no kernel.
    """
    search = _Search(source)
    search.alias(kernels)
    for kernel in kernels:
        search.anchor(kernel)
    search.anchor_by_readers(kernels)
    for kernel in kernels:
        search.walk_back(kernel)
    search.follow()
    return Origins(search.found(kernels))


class _Search:
    """Which kernel has each node of the source, as far as is known."""

    def __init__(self, source: GraphProto) -> None:
        self.nodes = [node for graph in walk_graphs(source) for node in graph.node]
        self.by_name = {node.name: node for node in self.nodes if node.name}
        self.makers = {k: v for g in walk_graphs(source) for k, v in producers_of(g).items()}
        self.owners: dict[int, int] = {}
        self.anchors: defaultdict[int, list[NodeProto]] = defaultdict(list)
        self.aliases: dict[str, str] = {}
        self.folded = _folded(source)

    def alias(self, kernels: Sequence[Kernel]) -> None:
        """Let what a change of layout reads go by the name of what it writes."""
        for kernel in reversed(kernels):
            node = kernel.node
            if node.op_type in _CHANGES_LAYOUT:
                name = self.aliases.get(node.output[0], node.output[0])
                if name in self.makers and self.makers[name].op_type != node.op_type:
                    self.aliases[node.input[0]] = name

    def anchor(self, kernel: Kernel) -> None:
        """Give a kernel the nodes that its name and its outputs speak of."""
        node = kernel.node
        named = [node.name, _LAYOUT.sub("", node.name)]
        found = [self.by_name[name] for name in named if name in self.by_name]
        written = [self.aliases.get(name, name) for name in node.output]
        written.append(node.name.removesuffix(_BLOCKED))
        found += [self.makers[name] for name in written if name in self.makers]
        for one in found:
            # What only changes the layout may write a tensor under its old name.
            alike = one.op_type == node.op_type or not {one.op_type, node.op_type} & _LIKE_ALONE
            if alike and id(one) not in self.owners:
                self.owners[id(one)] = id(kernel)
                self.anchors[id(kernel)].append(one)

    def anchor_by_readers(self, kernels: Sequence[Kernel]) -> None:
        """Give a kernel that nothing speaks of what its readers read in the source.

        Operators that are functions, such as HardSwish, become several nodes without names.
        """
        reading = {
            name: (kernel, slot)
            for kernel in kernels
            for slot, name in enumerate(kernel.node.input)
        }
        for kernel in kernels:
            if id(kernel) in self.anchors or not _computes(kernel):
                continue
            for name in kernel.node.output:
                reader, slot = reading.get(name, (kernel, 0))
                for anchor in self.anchors.get(id(reader), []):
                    if anchor.op_type == reader.node.op_type:  # so that slots are the same
                        self._adopt(kernel, anchor, slot)

    def _adopt(self, kernel: Kernel, reader: NodeProto, slot: int) -> None:
        maker = self.makers.get(reader.input[slot]) if slot < len(reader.input) else None
        if maker is not None and self._is_free(maker):
            self.owners[id(maker)] = id(kernel)
            self.anchors[id(kernel)].append(maker)

    def walk_back(self, kernel: Kernel) -> None:
        """Give a kernel what lies before its anchors, up to other kernels' nodes."""
        if kernel.node.op_type in _CONVERSIONS:
            return
        front = list(self.anchors[id(kernel)])
        while front:
            for name in _reads(front.pop()):
                maker = self.makers.get(name)
                if maker is not None and self._is_free(maker):
                    self.owners[id(maker)] = id(kernel)
                    front.append(maker)

    def follow(self) -> None:
        """Give what is left to the kernel that it reads from: an activation that was fused."""
        for node in self.nodes:
            if not self._is_free(node):
                continue
            makers = [self.makers[name] for name in node.input if name in self.makers]
            kept = [m for m in makers if id(m) in self.owners and m.op_type not in _CONVERSIONS]
            owner = next((self.owners[id(maker)] for maker in kept), None)
            if owner is not None:
                self.owners[id(node)] = owner

    def found(self, kernels: Sequence[Kernel]) -> dict[int, tuple[NodeProto, ...]]:
        """Return each kernel's nodes in graph order; parts of one node share it."""
        nodes: defaultdict[int, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            if id(node) in self.owners:
                nodes[self.owners[id(node)]].append(node)
        found = {kernel: tuple(its) for kernel, its in nodes.items()}
        readers = {name: kernel for kernel in kernels for name in kernel.node.input}
        for kernel in reversed(kernels):
            reader = readers.get(kernel.node.output[0])
            if _computes(kernel) and id(kernel) not in found and reader and _computes(reader):
                found[id(kernel)] = found.get(id(reader), ())
        return found

    def _is_free(self, node: NodeProto) -> bool:
        return (
            id(node) not in self.owners
            and id(node) not in self.folded
            and node.op_type not in _CONVERSIONS
        )


def _computes(kernel: Kernel) -> bool:
    return kernel.arithmetic in {"integer", "float"} and kernel.node.op_type not in _LIKE_ALONE


def _reads(node: NodeProto) -> Iterable[str]:
    return (*node.input, *sorted(captured_by(node)))


def _folded(source: GraphProto) -> set[int]:
    """Return nodes that read constants alone: onnxruntime computes them while it loads."""
    constant = set(initializers_of(source)) - {value.name for value in source.input}
    folded = set()
    for node in source.node:
        if all(name in constant for name in node.input if name) and not captured_by(node):
            constant |= set(node.output)
            folded.add(id(node))
    return folded
