"""A PyTorch module becomes an ONNX file, by ``torch.onnx.export(dynamo=True)``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from onnx import ModelProto
from torch import jit, nn

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_torch_calls import ModuleCall, flatten_call, module_name, plan_call
from onnxq.conversion.from_torch_examples import fixed_batch_note, output_names, with_fixed_batch
from onnxq.conversion.from_torch_failures import causes, reason
from onnxq.conversion.from_torch_quantized import QuantizedState, check_quantized
from onnxq.conversion.from_torch_quiet import quietly
from onnxq.conversion.from_torch_traced import convert_traced
from onnxq.conversion.from_torch_writing import describe_export, write_exported
from onnxq.errors import ConversionError
from onnxq.findings import Finding
from onnxq.models import OnnxModel
from onnxq.sources import InputDeclaration

_TRACED_ROWS = 2
"""Not one: torch.export would bake a batch of one in wherever a module broadcasts."""

_FIXED_ROWS = 1
"""The batch of a module that cannot keep its batch axis free."""

_NO_ROWS: Mapping[str, Array] = {}
LOWEST_OPSET = 18
"""The one that PyTorch 2.13 writes by itself; to what is asked below, it converts down, or
silently does not where that fails."""

NEXT_OPSET = 20
"""The highest that onnxruntime 1.17 can load: for operators that 18 lacks."""


def convert_module(
    module: nn.Module,
    inputs: tuple[InputDeclaration, ...],
    destination: Path,
    rows: Mapping[str, Array] = _NO_ROWS,
) -> Export:
    """Export a module and hand it back beside its export, ready to be compared.

    A batch axis declared as a symbol stays free where the module allows it; else the export is
    fixed at a batch of one, and a finding says why. The opset is 18, or 20 where the module
    needs an operator that 18 lacks, which a finding says too. TorchScript and modules that
    torch.ao quantized are traced instead: :mod:`onnxq.conversion.from_torch_traced`.

    Args:
        module: On the CPU, in evaluation mode.
        inputs: Declared by ``forward``'s own names, or else in the order of its parameters.
        destination: Of the ``.onnx`` file; must not exist yet.
        rows: Rows of the user's by input name, to trace with; values are made up without.

    Returns:
        The export; outputs are named as :meth:`ModuleCall.run` names them.

    Raises:
        SourceError: If the module does not take these inputs (OQ112), is above 2 GB, or is
            prepared for quantization and not converted (OQ111).
        ConversionError: If PyTorch cannot export the module (OQ151).
    """
    state = check_quantized(module, module_name(module))
    call = replace(plan_call(module, inputs), rows=rows)
    if isinstance(module, jit.ScriptModule) or state is QuantizedState.CONVERTED:
        return convert_traced(call, destination)
    batch = _TRACED_ROWS if call.has_free_batch else _FIXED_ROWS
    names = output_names(call, batch)
    findings: tuple[Finding, ...] = ()
    try:
        proto = _export(call, batch, names)
    except Exception as error:  # the exporter raises whatever the module's own code raises
        if not call.has_free_batch:
            raise _failure(call, error) from error
        call, batch = with_fixed_batch(call, _FIXED_ROWS), _FIXED_ROWS
        proto = _export_fixed(call, names)
        findings = (fixed_batch_note(call.name, _FIXED_ROWS, reason(error)),)
    declared = tuple(i.name for i in call.inputs)
    written = write_exported(proto, declared, call.name, str(destination))
    return describe_export(
        written,
        name=call.name,
        kind="dynamo",
        traced_rows=batch,
        predict=call.predict,
        findings=findings + opset_note(written.model, call.name),
    )


def opset_note(model: OnnxModel, name: str) -> tuple[Finding, ...]:
    """Say so where a model is not at the opset that is asked for first (OQ155)."""
    if model.opset == LOWEST_OPSET:
        return ()
    message = f"The export is at opset {model.opset}, not {LOWEST_OPSET}."
    evidence: dict[str, str | int | float] = {"opset": model.opset, "asked": LOWEST_OPSET}
    return (Finding(code="OQ155", subject=name, message=message, evidence=evidence),)


def lacks_operator(error: BaseException) -> bool:
    """Whether the exporter found no ONNX function for an operator at this opset."""
    return any(type(e).__name__ == "DispatchError" for e in causes(error))


def _export(call: ModuleCall, rows: int, names: tuple[str, ...]) -> ModelProto:
    if call.style == "dictionary" or call.returns_foreign(call.example(rows)):
        call = flatten_call(call)
    try:
        return _export_at(LOWEST_OPSET, call, rows, names)
    except torch.onnx.OnnxExporterError as error:
        if not lacks_operator(error):
            raise
    return _export_at(NEXT_OPSET, call, rows, names)


def _export_at(opset: int, call: ModuleCall, rows: int, names: tuple[str, ...]) -> ModelProto:
    args, kwargs = call.arguments(call.example(rows))
    with quietly():
        program = torch.onnx.export(
            call.module,
            args,
            kwargs=kwargs,
            dynamo=True,
            verbose=False,  # it prints its progress otherwise
            opset_version=opset,
            input_names=[i.name for i in call.inputs],
            output_names=list(names),
            dynamic_shapes=call.free_axes() if call.has_free_batch else None,
        )
    if program is None:  # only the exporter that dynamo=True replaces returns nothing
        message = f"PyTorch exported nothing for {call.name}."
        raise ConversionError(message, code="OQ151", hint="Update PyTorch.")
    return program.model_proto


def _export_fixed(call: ModuleCall, names: tuple[str, ...]) -> ModelProto:
    try:
        return _export(call, _FIXED_ROWS, names)
    except Exception as error:  # the exporter raises whatever the module's own code raises
        raise _failure(call, error) from error


def _failure(call: ModuleCall, error: Exception) -> ConversionError:
    message = f"PyTorch cannot export {call.name}: {reason(error)}"
    hint = "Control flow on values needs torch.where or torch.cond; see the module's forward."
    return ConversionError(message, code="OQ151", hint=hint)
