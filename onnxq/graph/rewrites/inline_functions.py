"""Local functions become the nodes that they stand for.

Pattern: a call of a function that the model itself defines. Replacement: its body. Bit-exact.
Why: onnxruntime 1.31.1's quantizers look at the top graph's nodes only, so a MatMul in a function
silently stays float; they lose the functions besides.
"""

from collections.abc import Iterator

from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto
from onnx.inliner import inline_local_functions

from onnxq.errors import SourceError
from onnxq.graph.edits import copy_of, subgraphs_of
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def inline_functions(proto: ModelProto) -> Rewritten:
    """Inline every local function, those that functions call included.

    A function of an older opset than the model's is lifted to that by onnx's converter.

    Args:
        proto: Any model; not changed.

    Returns:
        The model without functions, and their names.

    Raises:
        SourceError: OQ111 if onnx cannot inline one, as where a function is of a newer opset.
    """
    if not proto.functions:
        return Rewritten(proto, ())
    names = tuple(function.name for function in proto.functions)
    try:
        inlined = inline_local_functions(_with_defaults(proto), convert_version=True)
    except Exception as error:  # the converter, in C++, raises what it likes
        message = f"onnx cannot inline the local functions {', '.join(names)}: {error}"
        hint = "Export the model again, with functions of the model's own opset."
        raise SourceError(message, code="OQ111", hint=hint) from error
    del inlined.functions[:]
    return Rewritten(inlined, names)


def _with_defaults(proto: ModelProto) -> ModelProto:
    """Write the defaults of a function's attributes into the calls that leave them out.

    onnx 1.23.2's inliner forgets them: an operator in the body falls back to its own default.
    """
    defaults = {_key(function): list(function.attribute_proto) for function in proto.functions}
    if not any(defaults.values()):
        return proto
    explicit = copy_of(proto)
    for node in _all_nodes(explicit):
        given = {attribute.name for attribute in node.attribute}
        missing: list[AttributeProto] = [
            default
            for default in defaults.get((node.domain, node.op_type, node.overload), [])
            if default.name not in given
        ]
        node.attribute.extend(missing)
    return explicit


def _all_nodes(proto: ModelProto) -> Iterator[NodeProto]:
    yield from walk_nodes(proto.graph)
    for function in proto.functions:
        for node in function.node:
            yield node
            for body in subgraphs_of(node):
                yield from walk_nodes(body)


def _key(function: FunctionProto) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


INLINE_FUNCTIONS = Rewrite(
    "inline functions",
    "bit-exact",
    "",
    inline_functions,
    why="onnxruntime's quantizers do not look into functions",
)
