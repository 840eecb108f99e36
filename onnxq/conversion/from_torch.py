"""A PyTorch module becomes an ONNX file, by ``torch.onnx.export(dynamo=True)``."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from onnx import ModelProto
from torch import nn

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_torch_calls import ModuleCall, plan_call
from onnxq.errors import ConversionError, OnnxqError, SourceError
from onnxq.findings import Finding
from onnxq.graph.cleaning import clean
from onnxq.graph.model_files import write_proto
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.models import OnnxModel
from onnxq.sources import InputDeclaration

_TRACED_ROWS = 2
"""Not one: torch.export would bake a batch of one in wherever a module broadcasts."""

_FIXED_ROWS = 1
"""The batch of a module that cannot keep its batch axis free."""

_NO_ROWS: Mapping[str, Array] = {}
_LOWEST_OPSET = 18
"""The one that PyTorch 2.13 writes by itself; to what is asked below, it converts down, or
silently does not where that fails."""

_NEXT_OPSET = 20
"""The highest that onnxruntime 1.17 can load: for operators that 18 lacks."""

_NOISY_LOGGERS = ("torch.onnx", "torch.fx", "torch._export", "torch._dynamo", "onnxscript")


def convert_module(
    module: nn.Module,
    inputs: tuple[InputDeclaration, ...],
    destination: Path,
    rows: Mapping[str, Array] = _NO_ROWS,
) -> Export:
    """Export a module and hand it back beside its export, ready to be compared.

    A batch axis declared as a symbol stays free where the module allows it; else the export is
    fixed at a batch of one, and a finding says why. The opset is 18, or 20 where the module
    needs an operator that 18 lacks, which a finding says too.

    Args:
        module: On the CPU, in evaluation mode.
        inputs: Declared by ``forward``'s own names, or else in the order of its parameters.
        destination: Of the ``.onnx`` file; must not exist yet.
        rows: Rows of the user's by input name, to trace with; values are made up without.

    Returns:
        The export; outputs are named as :meth:`ModuleCall.run` names them.

    Raises:
        SourceError: If the module does not take these inputs (OQ112), or is above 2 GB (OQ111).
        ConversionError: If PyTorch cannot export the module (OQ151).
    """
    call = replace(plan_call(module, inputs), rows=rows)
    batch = _TRACED_ROWS if call.has_free_batch else _FIXED_ROWS
    names = _output_names(call, batch)
    findings: tuple[Finding, ...] = ()
    try:
        proto = _export(call, batch, names)
    except Exception as error:  # the exporter raises whatever the module's own code raises
        if not call.has_free_batch:
            raise _failure(call, error) from error
        call, batch = _with_fixed_batch(call), _FIXED_ROWS
        proto = _export_fixed(call, names)
        findings = (_batch_is_fixed(call, error),)
    model = _write(proto, call, destination)
    return Export(
        exporter=f"torch.onnx.export of torch {torch.__version__} (dynamo)",
        traced_rows=batch,
        predict=call.predict,
        findings=findings + _opset_note(model, call),
    )


def _output_names(call: ModuleCall, rows: int) -> tuple[str, ...]:
    """Call the module once: to see that it takes its inputs, and what it returns."""
    example = call.example(rows)
    try:
        return tuple(call.run(example))
    except OnnxqError:
        raise
    except Exception as error:  # a user's forward may raise anything
        fed = ", ".join(f"{n} {str(t.dtype)[6:]} {list(t.shape)}" for n, t in example.items())
        message = f"{call.name} failed on {fed}: {type(error).__name__}: {_first_line(error)}"
        hint = "Declare the inputs that it was trained with:  --input x:Nx3x224x224[:dtype]"
        raise SourceError(message, code="OQ112", hint=hint) from error


def _export(call: ModuleCall, rows: int, names: tuple[str, ...]) -> ModelProto:
    try:
        return _export_at(_LOWEST_OPSET, call, rows, names)
    except torch.onnx.OnnxExporterError as error:
        if not _lacks_operator(error):
            raise
    return _export_at(_NEXT_OPSET, call, rows, names)


def _export_at(opset: int, call: ModuleCall, rows: int, names: tuple[str, ...]) -> ModelProto:
    args, kwargs = call.arguments(call.example(rows))
    with _quietly():
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


def _with_fixed_batch(call: ModuleCall) -> ModuleCall:
    fixed = tuple(
        InputDeclaration(
            i.name,
            tuple(_FIXED_ROWS if isinstance(dim, str) else dim for dim in i.shape),
            i.dtype,
            i.low,
            i.high,
        )
        for i in call.inputs
    )
    return replace(call, inputs=fixed)


def _write(proto: ModelProto, call: ModuleCall, destination: Path) -> OnnxModel:
    inlined = inline_functions(proto).proto
    found = [value.name for value in inlined.graph.input]
    wanted = [i.name for i in call.inputs]
    if found != wanted:
        message = f"The export of {call.name} takes the inputs {found}, declared are {wanted}."
        hint = "An input that forward never reads cannot be declared."
        raise ConversionError(message, code="OQ151", hint=hint)
    return write_proto(clean(inlined, inlined.graph), destination)


def _lacks_operator(error: BaseException) -> bool:
    """Whether the exporter found no ONNX function for an operator at this opset."""
    return any(type(e).__name__ == "DispatchError" for e in _causes(error))


def _failure(call: ModuleCall, error: Exception) -> ConversionError:
    message = f"PyTorch cannot export {call.name}: {_reason(error)}"
    hint = "Control flow on values needs torch.where or torch.cond; see the module's forward."
    return ConversionError(message, code="OQ151", hint=hint)


def _batch_is_fixed(call: ModuleCall, error: Exception) -> Finding:
    return Finding(
        code="OQ153",
        subject=call.name,
        message=f"The batch is fixed at {_FIXED_ROWS}: torch.export cannot keep it free "
        f"({_reason(error)}).",
        evidence={"batch_rows": _FIXED_ROWS},
        fix="Take the batch from x.shape[0] in forward, never as a number.",
        severity="warning",
    )


def _opset_note(model: OnnxModel, call: ModuleCall) -> tuple[Finding, ...]:
    if model.opset == _LOWEST_OPSET:
        return ()
    message = f"The export is at opset {model.opset}, not {_LOWEST_OPSET}."
    evidence: dict[str, str | int | float] = {"opset": model.opset, "asked": _LOWEST_OPSET}
    return (Finding(code="OQ155", subject=call.name, message=message, evidence=evidence),)


def _reason(error: BaseException) -> str:
    """Return the first line of the error at the bottom: the exporter wraps it in pages."""
    *_, root = _causes(error)
    return f"{type(root).__name__}: {_first_line(root)}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    goes_on = lines[0].endswith(":")
    return " ".join(lines[: 2 if goes_on else 1])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence what torch.onnx.export prints, warns and logs about its own insides."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
