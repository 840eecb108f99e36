"""A function of TensorFlow becomes an ONNX graph, by tf2onnx.

``tf2onnx.convert.from_keras`` (1.17.0) fails on every unnamed model of Keras 3, and Keras' own
exporter (3.15) writes what a layer captured as an input; so every model is traced here, as a
function of flat inputs that returns named outputs, and tf2onnx converts that function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from onnxq.arrays import Array
from onnxq.conversion.from_keras_backend import keras, quiet_tf2onnx, said, tf, tf2onnx
from onnxq.conversion.from_keras_gru import recognisable_gru
from onnxq.conversion.tf2onnx_graphs import Port, finish_graph
from onnxq.conversion.tf2onnx_handlers import HANDLERS
from onnxq.errors import ConversionError

OPSET = 17
"""At 18, tf2onnx 1.17.0 leaves one more Transpose and writes global pooling as ReduceMean."""


@dataclass(frozen=True, kw_only=True)
class Traceable:
    """A function of TensorFlow's tensors with names for what it takes and gives.

    Attributes:
        name: For the graph.
        inputs: In the declared order.
        outputs: In the declared order.
        dtypes: TensorFlow's, by input name.
        call: From tensors by input name to tensors by output name.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    dtypes: Mapping[str, str]
    call: Callable[[Mapping[str, Any]], dict[str, Any]]

    def specs(self) -> tuple[tf.TensorSpec, ...]:
        """Return what TensorFlow traces, in the declared order of the inputs."""
        return tuple(
            tf.TensorSpec(
                [dim if isinstance(dim, int) else None for dim in port.shape],
                self.dtypes[port.name],
                port.name,
            )
            for port in self.inputs
        )


def trace_to_onnx(traceable: Traceable, given: str, hint: str) -> onnx.ModelProto:
    """Trace a function and write it as an ONNX model.

    Args:
        traceable: The function.
        given: What the user calls it, for messages.
        hint: What to do where it fails.

    Returns:
        The model at opset 17; captured constants are initializers in it.

    Raises:
        ConversionError: If it cannot be traced or written (OQ151).
    """

    def call(*tensors: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow's symbolic tensors
        by_name = {port.name: t for port, t in zip(traceable.inputs, tensors, strict=True)}
        return {name: tf.identity(tensor) for name, tensor in traceable.call(by_name).items()}

    function = tf.function(call, autograph=False)
    try:
        with quiet_tf2onnx(), recognisable_gru():
            proto, _ = tf2onnx.convert.from_function(
                function,
                input_signature=traceable.specs(),
                opset=OPSET,
                custom_op_handlers=dict(HANDLERS),
            )
    except Exception as error:  # TensorFlow, Keras' layers and tf2onnx raise anything
        message = f"{given} cannot be traced and written as ONNX: {said(error)}"
        raise ConversionError(message, code="OQ151", hint=hint) from error
    return finish_graph(
        proto,
        name=traceable.name,
        inputs=traceable.inputs,
        outputs=traceable.outputs,
        constants=_captured(function.get_concrete_function(*traceable.specs())),
        hint=hint,
    )


def exporter_name(*, keras_version: bool) -> str:
    """Say what wrote the file, with versions.

    Args:
        keras_version: Whether Keras had a part in it.
    """
    below = f"Keras {keras.__version__}, " if keras_version else ""
    return f"tf2onnx {tf2onnx.__version__} ({below}TensorFlow {tf.__version__}, opset {OPSET})"


def _captured(concrete: Any) -> dict[str, Array]:  # noqa: ANN401 - TensorFlow has no types
    """Return the tensors that a traced function captured, by their names inside it.

    Variables are left out: freezing turns them into constants already. What is captured as a
    plain tensor, such as the mean given to Normalization, tf2onnx 1.17.0 writes as an input.
    """
    values = concrete.captured_inputs
    inner = concrete.inputs[len(concrete.inputs) - len(values) :]
    return {
        tensor.name: value.numpy()
        for tensor, value in zip(inner, values, strict=True)
        if tensor.dtype != tf.resource
    }
