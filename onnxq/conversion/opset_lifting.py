"""A model below opset 13 becomes one of opset 13, by onnx's own converter."""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, version_converter

from onnxq.arrays import Array
from onnxq.errors import SourceError
from onnxq.graph.edits import walk_graphs
from onnxq.graph.nodes import default_opset

LOWEST_OPSET = 13
"""Per-channel QuantizeLinear begins here; onnxruntime's quantizers lie below it."""

LOWEST_GIVEN_OPSET = 7
"""onnxruntime runs nothing older, so there would be nothing to compare with."""

_LAST_OLD_RESIZE = 10
_HINT = f"Export the model again at opset {LOWEST_OPSET} or above."


def lift_opset(proto: ModelProto, name: str) -> ModelProto:
    """Convert a model to opset 13; whether it computes the same is for the caller to prove.

    Args:
        proto: A model of opset 7 to 12; not changed.
        name: The file's, for messages.

    Returns:
        The model at opset 13, without value infos.

    Raises:
        SourceError: OQ111 if the model is older than opset 7, or onnx cannot convert it.
    """
    opset = default_opset(proto)
    if opset < LOWEST_GIVEN_OPSET:
        message = (
            f"{name} is at opset {opset}: below {LOWEST_GIVEN_OPSET}, operators meant something "
            "else, and onnxruntime runs none."
        )
        raise SourceError(message, code="OQ111", hint=_HINT)
    try:
        lifted = version_converter.convert_version(proto, LOWEST_OPSET)
    except Exception as error:  # the converter, in C++, raises what it likes
        message = (
            f"{name} is at opset {opset}, and onnx {onnx.__version__} cannot convert it to "
            f"{LOWEST_OPSET}: {str(error).partition(chr(10))[0]}"
        )
        raise SourceError(message, code="OQ111", hint=_HINT) from error
    for graph in walk_graphs(lifted.graph):
        del graph.value_info[:]
        if opset <= _LAST_OLD_RESIZE:
            _keep_old_coordinates(graph)
    return lifted


def _keep_old_coordinates(graph: GraphProto) -> None:
    """Say of each Resize what Upsample and Resize-10 did without saying.

    onnx 1.23.2's converter leaves it to Resize-11's default (half_pixel). Until opset 10 pixels
    stood at their upper left corner, and onnxruntime took the pixel below that when enlarging,
    the one above when shrinking.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer} | {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in graph.node:
        if node.op_type != "Resize":
            continue
        shrinks = bool((_scales(node, constants) < 1).any())
        _set_default(node, "coordinate_transformation_mode", "asymmetric")
        _set_default(node, "nearest_mode", "ceil" if shrinks else "floor")


def _scales(node: NodeProto, constants: dict[str, onnx.TensorProto]) -> Array:
    name = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004 - x, roi, scales
    if name not in constants:
        return np.ones(0, np.float32)
    return onnx.numpy_helper.to_array(constants[name])


def _set_default(node: NodeProto, name: str, value: str) -> None:
    if all(attribute.name != name for attribute in node.attribute):
        node.attribute.append(onnx.helper.make_attribute(name, value))
