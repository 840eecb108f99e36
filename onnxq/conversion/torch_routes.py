"""The routes of PyTorch: factories."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.arrays import Array
from onnxq.conversion.declarations import declare_from_rows
from onnxq.conversion.written import TORCH_EXTRA, Written, missing_extra, written
from onnxq.datasets.loading import data_specs, load_probe_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.sources import Factory, InputDeclaration, source_path
from onnxq.stages import ConvertRequest
from onnxq.tensors import Signature, TensorSpec

_EXAMPLE_ROWS = 8


@contextmanager
def factory_route(request: ConvertRequest, source: Factory, destination: Path) -> Iterator[Written]:
    """Call a factory and export what it returns; the user's folders stay importable meanwhile."""
    try:
        from onnxq.conversion.from_torch import convert_module  # noqa: PLC0415 - the door
        from onnxq.conversion.from_torch_calls import torch_input_names  # noqa: PLC0415 - the door
        from onnxq.conversion.from_torch_factory import (  # noqa: PLC0415 - the door
            importable_from,
            load_module,
        )
    except ModuleNotFoundError as error:
        raise missing_extra(TORCH_EXTRA, source_path(source), error) from error
    with importable_from(request.trusted_folders):
        module, findings = load_module(source, request.trusted_folders)
        inputs = request.declared or inputs_from_rows(
            request, source_path(source), torch_input_names(module)
        )
        export = convert_module(module, inputs, destination, example_rows(request, inputs))
        yield written("torch", export, inputs, findings)


def example_rows(request: ConvertRequest, inputs: tuple[InputDeclaration, ...]) -> dict[str, Array]:
    """Take rows to trace with: a module may refuse values that are made up."""
    if not isinstance(request.data, DataRequest):
        return {}
    specs = tuple(TensorSpec(i.name, i.dtype, i.shape) for i in inputs)
    signature = Signature(inputs=specs, outputs=())
    return load_probe_rows(
        request.data, signature, count_rows=_EXAMPLE_ROWS, declared=request.declared
    )


def inputs_from_rows(
    request: ConvertRequest, given: str, names: tuple[str, ...]
) -> tuple[InputDeclaration, ...]:
    """Derive what the inputs are from the rows, where they were not declared.

    Raises:
        SourceError: If there are no rows either (OQ112).
    """
    if isinstance(request.data, DataRequest):
        return declare_from_rows(data_specs(request.data, channels_first=True), names)
    message = f"The inputs of {given} are not known: forward takes ({', '.join(names)})."
    declarations = " ".join(f"--input {name}:Nx3x224x224" for name in names)
    hint = f"Declare them, with your sizes:  {declarations}   or give rows: --data FILE"
    raise SourceError(message, code="OQ112", hint=hint)
