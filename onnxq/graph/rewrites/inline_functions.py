"""Local functions become the nodes that they stand for.

Pattern: a call of a function that the model itself defines. Replacement: its body. Bit-exact.
Why: onnxruntime 1.31.1's quantizers look at the top graph's nodes only, so a MatMul in a function
silently stays float; they lose the functions besides.
"""

from onnx import ModelProto
from onnx.inliner import inline_local_functions

from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def inline_functions(proto: ModelProto) -> Rewritten:
    """Inline every local function.

    Args:
        proto: Any model; not changed.

    Returns:
        The model without functions, and their names.
    """
    if not proto.functions:
        return Rewritten(proto, ())
    names = tuple(function.name for function in proto.functions)
    inlined = inline_local_functions(proto)
    del inlined.functions[:]
    return Rewritten(inlined, names)


INLINE_FUNCTIONS = Rewrite("inline functions", "bit-exact", "", inline_functions)
