"""Modules that ``torch.export`` cannot take are traced: TorchScript, and torch.ao's integers.

PyTorch's older exporter, by way of TorchScript, is the only one that knows them (torch 2.13.0). A
trace follows its example: what depends on values is frozen unless TorchScript says it as control
flow, so the comparison at other batches and signs decides.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, jit

from onnxq.conversion.exports import Export
from onnxq.conversion.from_torch_calls import FREE_BATCH, ModuleCall, flatten_call
from onnxq.conversion.from_torch_examples import fixed_batch_note, output_names, with_fixed_batch
from onnxq.conversion.from_torch_failures import reason
from onnxq.conversion.from_torch_quiet import native_output_dropped, quietly
from onnxq.conversion.from_torch_writing import describe_export, write_exported
from onnxq.errors import ConversionError, SourceError
from onnxq.findings import Finding

_OPSETS = (17, 20)
"""17 is the lowest with LayerNormalization; 20 the highest that this exporter writes."""

_TRACED_ROWS, _OTHER_ROWS, _FIXED_ROWS = 2, 3, 1
_DOUBT = (
    "It was traced, and tracing freezes a branch that depends on values or on the batch. Use "
    "torch.where, or torch.jit.script for the part that branches; or declare the batch that it "
    "was traced at:  --input x:1x3x224x224"
)


@dataclass(frozen=True)
class Traced:
    """What the exporter wrote, and what tracing complained about.

    Attributes:
        proto: As it was written.
        complaint: The first of PyTorch's warnings that something was frozen; empty without any.
    """

    proto: ModelProto
    complaint: str


def convert_traced(call: ModuleCall, destination: Path) -> Export:
    """Export a module by tracing it.

    Args:
        call: The module with its inputs.
        destination: Of the ``.onnx`` file; must not exist yet.

    Returns:
        The export, at opset 17, or 20 where an operator needs it.

    Raises:
        SourceError: If the module does not take these inputs (OQ112), or is above 2 GB (OQ111).
        ConversionError: If PyTorch cannot export it (OQ151).
    """
    call, findings = _with_possible_batch(call)
    batch = _TRACED_ROWS if call.has_free_batch else _FIXED_ROWS
    names = output_names(call, batch)
    traced = trace_to_onnx(call, batch, names)
    if call.has_free_batch:
        _name_batch(traced.proto, call)
    inputs = tuple(i.name for i in call.inputs)
    written = write_exported(traced.proto, inputs, call.name, str(destination))
    return describe_export(
        written,
        name=call.name,
        kind="TorchScript",
        traced_rows=batch,
        predict=call.predict,
        findings=findings + _frozen_note(traced, call.name),
        doubt=_DOUBT,
    )


def trace_to_onnx(call: ModuleCall, rows: int, names: tuple[str, ...]) -> Traced:
    """Trace a module and write the trace as ONNX.

    Args:
        call: The module with its inputs.
        rows: Of the batch to trace at, where that is free.
        names: Of its outputs.

    Returns:
        What was written.

    Raises:
        ConversionError: If PyTorch cannot export it (OQ151).
    """
    flat, example = flatten_call(call), call.example(rows)
    tensors = tuple(example[i.name] for i in call.inputs)
    failures = []
    for opset in _OPSETS:
        try:
            return _trace_at(opset, flat, tensors, names)
        except Exception as error:  # noqa: BLE001 - the exporter raises whatever it meets
            failures.append(error)
    message = f"PyTorch cannot export {call.name}: {reason(failures[-1])}"
    hint = "Operators that ONNX lacks have to be written with others in the module's forward."
    raise ConversionError(message, code="OQ151", hint=hint) from failures[-1]


def _trace_at(
    opset: int, flat: ModuleCall, tensors: tuple[Tensor, ...], names: tuple[str, ...]
) -> Traced:
    with (
        quietly() as warned,
        native_output_dropped(),
        torch.no_grad(),
        tempfile.TemporaryDirectory() as folder,
    ):
        traced: jit.ScriptModule = jit.trace(flat.module, tensors, check_trace=False)  # type: ignore[no-untyped-call]
        torch.onnx.export(
            traced,
            tensors,
            f"{folder}/traced.onnx",
            dynamo=False,
            opset_version=opset,
            input_names=[i.name for i in flat.inputs],
            output_names=list(names),
            dynamic_axes={
                i.name: {0: FREE_BATCH}
                for i in flat.inputs
                if i.shape and isinstance(i.shape[0], str)
            },
        )
        proto = onnx.load(f"{folder}/traced.onnx")
    frozen = [str(w.message) for w in warned if w.category.__name__ == "TracerWarning"]
    return Traced(proto, frozen[0].strip().splitlines()[0] if frozen else "")


def _with_possible_batch(call: ModuleCall) -> tuple[ModuleCall, tuple[Finding, ...]]:
    """Fix the batch where the module itself takes no other than one row."""
    if not call.has_free_batch:
        return call, ()
    try:
        for rows in (_TRACED_ROWS, _OTHER_ROWS):
            output_names(call, rows)
    except SourceError as error:
        fixed = with_fixed_batch(call, _FIXED_ROWS)
        try:
            output_names(fixed, _FIXED_ROWS)
        except SourceError:
            raise error from error.__cause__
        return fixed, (fixed_batch_note(call.name, _FIXED_ROWS, error.message),)
    return call, ()


def _name_batch(proto: ModelProto, call: ModuleCall) -> None:
    """Name the batch axis of the outputs, in a proto of our own: the exporter loses its name."""
    few, more = (call.run(call.example(rows)) for rows in (_TRACED_ROWS, _OTHER_ROWS))
    for value in proto.graph.output:
        rows = few[value.name].shape[:1], more[value.name].shape[:1]
        if rows == ((_TRACED_ROWS,), (_OTHER_ROWS,)) and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = FREE_BATCH


def _frozen_note(traced: Traced, name: str) -> tuple[Finding, ...]:
    if not traced.complaint:
        return ()
    return (
        Finding(
            code="OQ160",
            subject=name,
            message=f"{name} was traced, and PyTorch warned that something may be frozen: "
            f"{traced.complaint}",
            fix="Use torch.where where forward branches on values.",
            severity="warning",
        ),
    )
