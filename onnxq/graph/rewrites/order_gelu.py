"""GELU is written in the order in which onnxruntime knows it.

Pattern: ``x * (0.5 * (1 + erf(x / sqrt(2))))``, as torch 2.13 exports it. Replacement:
``(x * (1 + erf(x / sqrt(2)))) * 0.5``, the same operators. Condition: nothing else reads what is
between. Real-exact: a product with 0.5 is rounded nowhere but at the ends of float32. Why:
onnxruntime 1.31 fuses the second order into one kernel and computes the first in five passes: 380
against 160 us for 128 x 2048 values (1 thread, x86-64 with AVX512-VNNI).
"""

from onnx import ModelProto, NodeProto

from onnxq.graph.edits import copy_of, scalar_of
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors


def order_gelu(proto: ModelProto) -> Rewritten:
    """Reorder the two products of every GELU of the top graph.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the nodes that return a GELU.
    """
    if all(node.op_type != "Erf" for node in proto.graph.node):
        return Rewritten(proto, ())
    ordered = copy_of(proto)
    flow = trace_tensors(ordered.graph)
    subjects = []
    for erf in flow.nodes:
        found = _products(erf, flow) if erf.op_type == "Erf" else None
        if found is None:
            continue
        half, last, root, gate = found
        constant = next(name for name in half.input if name != gate)
        half.input[:] = [root, gate]
        last.input[:] = [half.output[0], constant]
        subjects.append(last.name)
    return Rewritten(ordered if subjects else proto, tuple(subjects))


def _products(erf: NodeProto, flow: TensorFlow) -> tuple[NodeProto, NodeProto, str, str] | None:
    """Find the product with 0.5, the one with x behind it, x, and ``1 + erf``."""
    divided = flow.producers.get(erf.input[0])
    if divided is None or divided.op_type not in {"Div", "Mul"}:
        return None
    gate = _step(erf.output[0], "Add", 1.0, flow)
    half = None if gate is None else _step(gate.output[0], "Mul", 0.5, flow)
    last = None if half is None else _only_reader(half.output[0], "Mul", flow)
    if gate is None or half is None or last is None:
        return None
    roots = [name for name in last.input if name != half.output[0] and name in divided.input]
    return (half, last, roots[0], gate.output[0]) if roots else None


def _step(tensor: str, operator: str, constant: float, flow: TensorFlow) -> NodeProto | None:
    """Return the only reader of a tensor if it combines it with a known number."""
    reader = _only_reader(tensor, operator, flow)
    if reader is None:
        return None
    others = [scalar_of(flow.initializers.get(name)) for name in reader.input if name != tensor]
    return reader if others == [constant] else None


def _only_reader(tensor: str, operator: str, flow: TensorFlow) -> NodeProto | None:
    readers = flow.read_by(tensor) if flow.has_one_reader(tensor) else ()
    return next((reader for reader in readers if reader.op_type == operator), None)


ORDER_GELU = Rewrite(
    "order GELU",
    "real-exact",
    "",
    order_gelu,
    why="onnxruntime fuses only this order of the products: 160 us, not 380, for 128 x 2048 values",
)
