"""A Keras model becomes an ONNX file, by TensorFlow and tf2onnx."""

from pathlib import Path

from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_naming import NamedModel
from onnxq.conversion.from_keras_precision import compute_tolerance
from onnxq.conversion.from_keras_tracing import Traceable, exporter_name, trace_to_onnx
from onnxq.conversion.tf2onnx_graphs import loop_findings
from onnxq.errors import ConversionError
from onnxq.findings import Finding
from onnxq.graph.model_files import write_proto

_HINT = """\
Export the model in another way and give onnxq the result:
  model.export('model.onnx', format='onnx')"""
_LOOP_FIX = "Leave out the mask, or build the layer with unroll=True and a fixed number of steps."
_EXAMPLE_SIZE = 64


def export_by_tensorflow(
    named: NamedModel, destination: Path, given: str, findings: tuple[Finding, ...]
) -> Export:
    """Write a Keras model that runs on TensorFlow as one ONNX file.

    Args:
        named: The model.
        destination: The ``.onnx`` file to write; must not exist yet.
        given: What the user calls the model, for messages.
        findings: What was noticed before.

    Returns:
        The exporter, the model as a function run by Keras, and what was noticed.

    Raises:
        ConversionError: If tf2onnx cannot write it (OQ151).
    """
    try:
        proto = trace_to_onnx(_traceable(named), given, _hint(named))
    except ConversionError as error:
        if not named.declared_rows:
            raise
        named = named.with_fixed_batch()
        proto = trace_to_onnx(_traceable(named), given, _hint(named))
        findings = (*findings, _batch_is_fixed(named, given, error))
    write_proto(proto, destination)
    return Export(
        exporter=exporter_name(keras_version=True),
        traced_rows=0,
        predict=named.predict,
        findings=(*findings, *loop_findings(proto, given, _LOOP_FIX)),
        tolerance=compute_tolerance(named.model),
    )


def _traceable(named: NamedModel) -> Traceable:
    return Traceable(
        name=named.model.name,
        inputs=named.inputs,
        outputs=named.outputs,
        dtypes=named.dtypes,
        call=named.call,
    )


def _hint(named: NamedModel) -> str:
    """Say how to give a size to each free axis, where there are any but the batch."""
    free = named.free_sizes()
    if not free:
        return _HINT
    sizes = {
        name: "x".join(str(_EXAMPLE_SIZE if isinstance(dim, str) else dim) for dim in axes)
        for name, axes in free.items()
    }
    declarations = "  ".join(f"--input {name}:Nx{shape}" for name, shape in sizes.items())
    return f"Some layers need a size for each axis. Declare yours:  {declarations}\n{_HINT}"


def _batch_is_fixed(named: NamedModel, given: str, error: ConversionError) -> Finding:
    return Finding(
        code="OQ153",
        subject=given,
        message=(
            f"The batch is fixed at {named.declared_rows}, as the model declares, because it "
            f"cannot be traced with a free one: {error.message}"
        ),
        evidence={"rows": named.declared_rows},
        fix="Build the model on keras.Input(shape) instead of batch_shape, and save it again.",
    )
