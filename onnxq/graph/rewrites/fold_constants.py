"""What is computed from constants alone is stored.

Pattern: a node that shapes, casts or adds up constants. Replacement: an initializer. Condition:
operators whose result IEEE 754 or the specification fixes to the last bit, of at most 2^24
elements. Bit-exact. Why: exporters write zero points as ConstantOfShape; what a grid is cannot be
told then, neither by this package nor by other runtimes.
"""

import math

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator

from onnxq.graph.edits import captured_names, copy_of, initializers_of
from onnxq.graph.nodes import default_opset
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_FOLDED = frozenset({
    "ConstantOfShape", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand",
    "Concat", "Slice", "Gather", "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt",
})  # fmt: skip
_MOST_ELEMENTS = 2**24


def fold_constants(proto: ModelProto) -> Rewritten:
    """Compute constants of the top graph.

    Args:
        proto: Any model without local functions; not changed.

    Returns:
        The model, and the names of the constants.
    """
    known = initializers_of(proto.graph)
    kept = {value.name for value in proto.graph.output} | captured_names(proto.graph)
    opset, made = default_opset(proto), dict[str, TensorProto]()
    for node in proto.graph.node:
        if _is_folded(node, known) and node.output[0] not in kept:
            tensor = _compute(node, known, opset)
            if math.prod(tensor.dims) <= _MOST_ELEMENTS:
                known[tensor.name] = made[tensor.name] = tensor
    if not made:
        return Rewritten(proto, ())
    copy = copy_of(proto)
    for node in list(copy.graph.node):
        if node.output[0] in made:
            copy.graph.node.remove(node)
    copy.graph.initializer.extend(made.values())
    return Rewritten(copy, tuple(made))


def _is_folded(node: NodeProto, known: dict[str, TensorProto]) -> bool:
    is_standard = node.op_type in _FOLDED and node.domain in {"", "ai.onnx"}
    return is_standard and len(node.output) == 1 and all(n in known for n in node.input if n)


def _compute(node: NodeProto, known: dict[str, TensorProto], opset: int) -> TensorProto:
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [
        onnx.helper.make_tensor_value_info(name, known[name].data_type, known[name].dims)
        for name in names
    ]
    output = onnx.helper.make_empty_tensor_value_info(node.output[0])
    graph = onnx.helper.make_graph([node], "constant", inputs, [output])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )
    feeds = {name: onnx.numpy_helper.to_array(known[name]) for name in names}
    (value,) = ReferenceEvaluator(model).run(None, feeds)
    return onnx.numpy_helper.from_array(np.ascontiguousarray(value), node.output[0])


FOLD_CONSTANTS = Rewrite(
    "fold constants",
    "bit-exact",
    "",
    fold_constants,
    why="a grid whose zero point is computed while the model runs is fused with nothing",
)
