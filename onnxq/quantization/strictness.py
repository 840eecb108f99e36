"""``--strict``: what was asked for becomes integer, or it is an error that names it."""

from onnx import ModelProto

from onnxq.errors import StrictError
from onnxq.graph.integer_count import counted_nodes
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.finishing import QuantizedModel
from onnxq.scopes import QuantizationScope

_SHOWN = 5
_OTHERWISE = "the recipe has nothing for its type"


def check_strict(original: ModelProto, quantized: QuantizedModel, scope: QuantizationScope) -> None:
    """Raise where a node that was asked for stays float.

    Asked for is every node of the types that the scope lists, and every node that counts, be it
    that the scope lists no types or that a rule speaks of it. What the scope itself keeps float
    was not asked for.

    Args:
        original: The prepared float model.
        quantized: What became of it.
        scope: What was asked for.

    Raises:
        StrictError: OQ302, naming the nodes and their reasons.
    """
    counted = {node.name for node in counted_nodes(original)}
    reasons = quantized.remarks | quantized.count.left_float
    changed = (counted - quantized.count.left_float.keys()) | quantized.followers
    asked = [
        node
        for node in walk_nodes(original.graph)
        if (node.op_type in scope.operators or node.name in counted)
        and not why_kept_float(node, scope)
    ]
    left = {
        node.name: (node.op_type, reasons.get(node.name, _OTHERWISE))
        for node in asked
        if node.name not in changed
    }
    if not left:
        return
    told = [f"{kind} {name!r}: {reason}" for name, (kind, reason) in left.items()]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    nodes = "1 node" if len(left) == 1 else f"{len(left)} nodes"
    stay = "stays" if len(left) == 1 else "stay"
    message = f"{nodes} of {len(asked)} that were asked for {stay} float: "
    message += "; ".join(told[:_SHOWN]) + more + "."
    hint = (
        f"Say what may stay float, as in --keep-float {next(iter(left))!r}, or leave out --strict."
    )
    raise StrictError(message, code="OQ302", hint=hint)
