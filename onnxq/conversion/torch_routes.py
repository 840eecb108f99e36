"""The routes of PyTorch: modules from factories, ``.pt2`` and TorchScript files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from onnxq.arrays import Array
from onnxq.conversion.declarations import declare_from_rows
from onnxq.conversion.exports import Export
from onnxq.conversion.written import TORCH_EXTRA, Written, missing_extra, written
from onnxq.datasets.loading import data_specs, load_probe_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.sniffing import FileKind
from onnxq.source_refusals import untrusted
from onnxq.sources import (
    Factory,
    InputDeclaration,
    OwnWeights,
    TorchExportFile,
    TorchScriptFile,
    source_path,
)
from onnxq.stages import ConvertRequest
from onnxq.tensors import Signature, TensorSpec

_EXAMPLE_ROWS = 8


class OpenedModel(Protocol):
    """A model that was made ready, as the door hands it over."""

    @property
    def unknown_inputs(self) -> tuple[str, ...]:
        """Names of the inputs whose shapes only the user, or the rows, can tell."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed."""

    def export(
        self,
        inputs: tuple[InputDeclaration, ...],
        rows: Mapping[str, Array],
        destination: Path,
        /,
    ) -> Export:
        """Write it as ONNX."""


@contextmanager
def torch_export_route(
    request: ConvertRequest, source: TorchExportFile, destination: Path
) -> Iterator[Written]:
    """Export a ``.pt2`` file, which runs its code; its inputs are those that it has."""
    if not request.trust:
        raise untrusted(Path(source.path), FileKind.TORCH_EXPORT)
    try:
        from onnxq.conversion.from_torch_export import (  # noqa: PLC0415 - the door
            convert_program,
            load_program,
        )
    except ModuleNotFoundError as error:
        raise missing_extra(TORCH_EXTRA, source_path(source), error) from error
    path = Path(source.path)
    export = convert_program(load_program(path), path.name, destination)
    yield written("torch", export, request.declared)


@contextmanager
def torchscript_route(
    request: ConvertRequest, source: TorchScriptFile, destination: Path
) -> Iterator[Written]:
    """Export a TorchScript file, which runs its code."""
    if not request.trust:
        raise untrusted(Path(source.path), FileKind.TORCHSCRIPT)
    try:
        from onnxq.conversion.from_torchscript import load_script  # noqa: PLC0415 - the door
    except ModuleNotFoundError as error:
        raise missing_extra(TORCH_EXTRA, source_path(source), error) from error
    yield written_torch_model(request, load_script(Path(source.path)), destination)


def written_torch_model(request: ConvertRequest, model: object, destination: Path) -> Written:
    """Export a module or a program, whose own it is to change.

    Args:
        request: What was asked for; weights of its source go into the module first.
        model: An ``nn.Module``, TorchScript, or a program of ``torch.export``.
        destination: The ``.onnx`` file to write.

    Returns:
        What was written.
    """
    source, given = request.source, source_path(request.source)
    try:
        from onnxq.conversion.from_torch_models import open_own  # noqa: PLC0415 - the door
    except ModuleNotFoundError as error:
        raise missing_extra(TORCH_EXTRA, given, error) from error
    weights = source.weights if isinstance(source, Factory) else OwnWeights()
    return export_opened(request, open_own(model, given, weights), destination)


@contextmanager
def torch_copy_written(
    request: ConvertRequest, model: object, destination: Path
) -> Iterator[Written]:
    """Export a caller's module or program; it is not changed, and neither is PyTorch's state.

    Args:
        request: What was asked for.
        model: An ``nn.Module``, TorchScript, or a program of ``torch.export``.
        destination: The ``.onnx`` file to write.

    Yields:
        What was written; it runs a copy of the model.
    """
    given = source_path(request.source)
    try:
        from onnxq.conversion.from_torch_models import (  # noqa: PLC0415 - the door
            open_copy,
            torch_state_kept,
        )
    except ModuleNotFoundError as error:
        raise missing_extra(TORCH_EXTRA, given, error) from error
    with torch_state_kept():
        yield export_opened(request, open_copy(model, given), destination)


def export_opened(request: ConvertRequest, opened: OpenedModel, destination: Path) -> Written:
    """Export a model that was made ready; its inputs are declared, or derived from the rows.

    Args:
        request: What was asked for.
        opened: The model.
        destination: The ``.onnx`` file to write.

    Returns:
        What was written.

    Raises:
        SourceError: If its inputs are not known (OQ112).
    """
    inputs, names = request.declared, opened.unknown_inputs
    if names and not inputs:
        inputs = inputs_from_rows(request, source_path(request.source), names)
    rows = example_rows(request, inputs) if names else {}
    export = opened.export(inputs, rows, destination)
    return written("torch", export, inputs, opened.findings)


def example_rows(request: ConvertRequest, inputs: tuple[InputDeclaration, ...]) -> dict[str, Array]:
    """Take rows to trace with: a module may refuse values that are made up."""
    if not isinstance(request.data, DataRequest):
        return {}
    specs = tuple(TensorSpec(i.name, i.dtype, i.shape) for i in inputs)
    signature = Signature(inputs=specs, outputs=())
    return load_probe_rows(
        request.data,
        signature,
        count_rows=_EXAMPLE_ROWS,
        declared=request.declared,
        trusted_folders=request.trusted_folders,
    )


def inputs_from_rows(
    request: ConvertRequest, given: str, names: tuple[str, ...]
) -> tuple[InputDeclaration, ...]:
    """Derive what the inputs are from the rows, where they were not declared.

    Raises:
        SourceError: If there are no rows either (OQ112).
    """
    if isinstance(request.data, DataRequest):
        specs = data_specs(
            request.data,
            channels_first=True,
            names=names,
            trusted_folders=request.trusted_folders,
        )
        return declare_from_rows(specs, names)
    message = f"The inputs of {given} are not known: forward takes ({', '.join(names)})."
    declarations = " ".join(f"--input {name}:Nx3x224x224" for name in names)
    hint = f"Declare them, with your sizes:  {declarations}   or give rows: --data FILE"
    raise SourceError(message, code="OQ112", hint=hint)
