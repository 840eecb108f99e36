"""An input that is also an output is no output while a quantizer works.

Pattern: a graph output that no node writes. Replacement: the graph without that output. Condition:
another output stays. Bit-exact for the other outputs; whoever quantizes puts the interface back.
Why: onnxruntime 1.31.1's static quantizer dies of "Graph is not a DAG". (An Identity between them
would need another name for one of the two, which users would feel.)
"""

from onnx import ModelProto

from onnxq.graph.edits import copy_of
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def detach_passed_inputs(proto: ModelProto) -> Rewritten:
    """Take outputs that are inputs or initializers off the list of outputs.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the outputs that were taken off.
    """
    written = {name for node in proto.graph.node for name in node.output}
    names = tuple(output.name for output in proto.graph.output if output.name not in written)
    if not names or len(names) == len(proto.graph.output):
        return Rewritten(proto, ())
    detached = copy_of(proto)
    kept = [output for output in detached.graph.output if output.name in written]
    del detached.graph.output[:]
    detached.graph.output.extend(kept)
    return Rewritten(detached, names)


DETACH_PASSED_INPUTS = Rewrite(
    "detach passed inputs",
    "bit-exact",
    "",
    detach_passed_inputs,
    why="onnxruntime's static quantizer dies of outputs that are inputs",
)
