"""Which versions of onnxruntime can load a model: its opset, its IR version, its domains."""

import onnx
from onnx import ModelProto, NodeProto

from onnxq.graph.nodes import default_opset, walk_nodes

_LIMITS: tuple[tuple[str, int, int], ...] = (
    ("1.17", 9, 20),
    ("1.18", 10, 21),
    ("1.21", 10, 22),
    ("1.23", 11, 23),
    ("1.24", 13, 25),
    ("1.26", 13, 26),
)
"""Release, highest IR version, highest opset, each measured by loading models into the wheels of
1.17.3, 1.18.1, 1.19.2, 1.20.1, 1.21.1, 1.22.1, 1.23.2, 1.24.4, 1.26.0, 1.28.0 and 1.31.1; releases
that read what the one before them reads are left out."""

_NEWEST = "1.31"
_CONTRIB: dict[str, str] = {"DequantizeLinear": "1.20", "QuantizeLinear": "1.20"}
"""Operators of ``com.microsoft`` that 1.17 refuses, with the first release seen to load them."""
_BITS: dict[int, str] = {2: "1.24", 8: "1.23"}
"""First release whose MatMulNBits was seen to compute with so many bits; 4 bits need 1.17. 8 bits
load in 1.22 too, but run there on CPUs with VNNI alone."""

_OWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
"""Whose operators the CPU build has kernels for; the last is what its own optimizer writes."""


def lowest_ir(opset: int) -> int:
    """Return the lowest IR version that a model of an opset may declare.

    Args:
        opset: Version of the standard operator set.

    Returns:
        For example 8 for opset 17.
    """
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True)


def used_domains(proto: ModelProto) -> tuple[str, ...]:
    """Return the domains of a model's nodes, sorted; the standard one is ``ai.onnx``."""
    return tuple(sorted({node.domain or "ai.onnx" for node in _all_nodes(proto)}))


def foreign_domains(proto: ModelProto) -> tuple[str, ...]:
    """Return the domains of operators that onnxruntime does not have, sorted.

    Args:
        proto: Any model. Functions that it brings along are no such operators.

    Returns:
        Such as ``("com.acme",)``; a library of custom operators would be needed for each.
    """
    own = {(function.domain, function.name) for function in proto.functions}
    return tuple(
        sorted(
            {
                node.domain
                for node in _all_nodes(proto)
                if node.domain not in _OWN_DOMAINS and (node.domain, node.op_type) not in own
            }
        )
    )


def _all_nodes(proto: ModelProto) -> list[NodeProto]:
    return [*walk_nodes(proto.graph), *(node for f in proto.functions for node in f.node)]


def min_runtime(proto: ModelProto) -> str:
    """Return the lowest release of onnxruntime that can load a model.

    It follows from opset, IR version and the operators of ``com.microsoft``.

    Args:
        proto: Any model.

    Returns:
        Such as ``1.17``, the oldest release that was measured; ``newer than 1.31`` where no
        measured release can load the model; empty where it uses operators that no release has
        (:func:`foreign_domains`).
    """
    if foreign_domains(proto):
        return ""
    opset = default_opset(proto)
    fitting = [v for v, ir, top in _LIMITS if proto.ir_version <= ir and opset <= top]
    if not fitting:
        return f"newer than {_NEWEST}"
    needed = [fitting[0], *(_contrib_runtime(node) for node in walk_nodes(proto.graph))]
    return max(needed, key=lambda version: tuple(map(int, version.split("."))))


def _contrib_runtime(node: NodeProto) -> str:
    oldest = _LIMITS[0][0]
    if node.domain != "com.microsoft":
        return oldest
    if node.op_type == "MatMulNBits":
        bits = next((a.i for a in node.attribute if a.name == "bits"), 4)
        return _BITS.get(bits, oldest)
    return _CONTRIB.get(node.op_type, oldest)
