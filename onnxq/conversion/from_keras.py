"""A Keras file becomes an ONNX file, by Keras, TensorFlow and tf2onnx.

``tf2onnx.convert.from_keras`` (1.17.0) fails on every unnamed model of Keras 3, and Keras' own
exporter (3.15) writes what a layer captured as an input; so the model is traced here, as a
function of flat inputs that returns named outputs, and tf2onnx converts that function.
"""

from pathlib import Path
from typing import Any

import onnx

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_backend import keras, quiet_tf2onnx, said, tf, tf2onnx
from onnxq.conversion.from_keras_gru import recognisable_gru
from onnxq.conversion.from_keras_loading import load_keras
from onnxq.conversion.from_keras_naming import NamedModel, name_model
from onnxq.conversion.tf2onnx_graphs import finish_graph
from onnxq.conversion.tf2onnx_handlers import HANDLERS
from onnxq.errors import ConversionError
from onnxq.findings import Finding
from onnxq.graph.model_files import write_proto

OPSET = 17
"""At 18, tf2onnx 1.17.0 leaves one more Transpose and writes global pooling as ReduceMean."""

_HINT = """\
Some layers can only be exported with a size for each axis: keras.Input((96, 96, 3)).
Or export the model in another way and give onnxq the result:
  model.export('model.onnx', format='onnx')"""


def convert_keras(path: Path, destination: Path) -> Export:
    """Load a Keras file and write it as one ONNX file.

    Inputs and outputs keep Keras' names and order; the batch axis is free and called ``N``,
    unless the model declares a fixed batch and can only be traced with it.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file that holds a whole model.
        destination: The ``.onnx`` file to write; must not exist yet. Its folder takes a
            temporary copy of a Keras 2 file.

    Returns:
        The exporter, the model as a function run by Keras, and what was noticed.

    Raises:
        SourceError: If the file is missing or damaged, holds weights only, carries code, or
            declares no inputs.
        ConversionError: If Keras cannot load the model or tf2onnx cannot write it.
    """
    loaded = load_keras(path, destination.parent)
    named, findings = name_model(loaded.model, path.name), loaded.findings
    try:
        proto = _export(named, path.name)
    except ConversionError as error:
        if not named.declared_rows:
            raise
        named = named.with_fixed_batch()
        proto = _export(named, path.name)
        findings = (*findings, _batch_is_fixed(named, path.name, error))
    write_proto(proto, destination)
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}, opset {OPSET}"
    return Export(
        exporter=f"tf2onnx {tf2onnx.__version__} ({versions})",
        traced_rows=0,
        predict=named.predict,
        findings=findings,
    )


def _export(named: NamedModel, file_name: str) -> onnx.ModelProto:
    def call(*tensors: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow's symbolic tensors
        by_name = {port.name: t for port, t in zip(named.inputs, tensors, strict=True)}
        return {name: tf.identity(tensor) for name, tensor in named.call(by_name).items()}

    traceable = tf.function(call, autograph=False)
    try:
        with quiet_tf2onnx(), recognisable_gru():
            proto, _ = tf2onnx.convert.from_function(
                traceable,
                input_signature=named.specs(),
                opset=OPSET,
                custom_op_handlers=dict(HANDLERS),
            )
    except Exception as error:  # TensorFlow, Keras' layers and tf2onnx raise anything
        message = f"{file_name} cannot be traced and written as ONNX: {said(error)}"
        raise ConversionError(message, code="OQ151", hint=_HINT) from error
    return finish_graph(
        proto,
        name=named.model.name,
        inputs=named.inputs,
        outputs=named.outputs,
        constants=_captured(traceable.get_concrete_function(*named.specs())),
    )


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


def _batch_is_fixed(named: NamedModel, file_name: str, error: ConversionError) -> Finding:
    return Finding(
        code="OQ153",
        subject=file_name,
        message=(
            f"The batch is fixed at {named.declared_rows}, as the model declares, because it "
            f"cannot be traced with a free one: {error.message}"
        ),
        evidence={"rows": named.declared_rows},
        fix="Build the model on keras.Input(shape) instead of batch_shape, and save it again.",
    )
