"""Live models: exported in the process that holds them, proven in a child like all others."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from onnxq.conversion.frameworks import framework_of
from onnxq.conversion.live_proofs import load_proof, record_proof
from onnxq.conversion.proof_rows import probe_rows
from onnxq.conversion.tensorflow_routes import written_keras_model
from onnxq.conversion.torch_routes import torch_copy_written
from onnxq.conversion.written import Written
from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.graph.model_files import read_model
from onnxq.reports import ParityNotChecked
from onnxq.sources import InputDeclaration, LiveExport
from onnxq.stages import ConvertRequest, NoDataRequest
from onnxq.wording import with_article

_MODEL_FILE = "live.onnx"
_PROOF_FOLDER = "proof"
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
"""What PyTorch wraps around modules, and where the module itself is in each."""


def export_live(
    model: object,
    *,
    declared: tuple[InputDeclaration, ...],
    data: DataRequest | NoDataRequest,
    seed: int,
    folder: Path,
) -> LiveExport:
    """Export a live model, and store what it computes on the rows that prove the export.

    The model stays as it is: a module is copied to the CPU, in evaluation mode; a Keras model is
    called with ``training=False``. The environment and the import path stay as they are, too.

    Args:
        model: An ``nn.Module`` or a Keras model.
        declared: Its inputs, where it or the rows do not say them.
        data: Rows to derive inputs from, to trace with and to prove the export on.
        seed: Of random probes.
        folder: Where files go; absolute, and empty.

    Returns:
        The export.

    Raises:
        SourceError: If the value is no model (OQ102), or its inputs are not known (OQ112).
        MissingDependencyError: If what exports it is not installed (OQ108).
        ConversionError: If it cannot be copied or exported, or fails (OQ151).
        ParityError: If it is random (OQ152).
        DatasetError: If the rows cannot be read or do not fit.
    """
    framework = framework_of(model)
    if framework not in {"keras", "torch"}:
        message = f"A model was expected, found {with_article(model)}."
        hint = "Give a path, 'pkg.mod:fn', a torch.nn.Module or a Keras 3 model."
        raise SourceError(message, code="OQ102", hint=hint)
    source = LiveExport(
        path=str(folder / _MODEL_FILE),
        name=_class_name(model),
        framework="keras" if framework == "keras" else "torch",
        exporter="",
    )
    request = ConvertRequest(
        source=source,
        declared=declared,
        data=data,
        check=True,
        seed=seed,
        trusted_folders=(str(Path.cwd()),),
    )
    with _process_kept(), _written(request, source, model) as written:
        proof = _record(written, request, folder)
    return LiveExport(
        path=source.path,
        name=source.name,
        framework=source.framework,
        exporter=written.exporter,
        proof=proof,
        traced_rows=written.traced_rows,
        findings=written.findings,
        quantized_already=written.quantized_already,
    )


@contextmanager
def live_route(request: ConvertRequest, source: LiveExport, destination: Path) -> Iterator[Written]:
    """Take over what was exported in the caller's process, with what the model computed there."""
    del request
    shutil.copyfile(source.path, destination)
    proof = load_proof(Path(source.proof))
    yield Written(
        framework=source.framework,
        exporter=source.exporter,
        reference=proof.predict,
        traced_rows=source.traced_rows,
        declared=proof.index.declared,
        findings=source.findings,
        quantized_already=source.quantized_already,
        tolerance=proof.index.tolerance,
        doubt=proof.index.doubt,
        probes=proof.probes,
    )


def _class_name(model: object) -> str:
    """Return the name of a model's class, of the module inside where it is wrapped."""
    name = type(model).__name__
    inner = getattr(model, _WRAPPERS.get(name, ""), model)
    return name if inner is model else _class_name(inner)


def _written(
    request: ConvertRequest, source: LiveExport, model: object
) -> AbstractContextManager[Written]:
    destination = Path(source.path)
    if source.framework == "keras" and callable(model):
        return nullcontext(written_keras_model(request, source, model, destination))
    return torch_copy_written(request, model, destination)


def _record(written: Written, request: ConvertRequest, folder: Path) -> str:
    if isinstance(written.reference, ParityNotChecked):
        message = "a live model can always be run"
        raise TypeError(message)
    signature = read_model(folder / _MODEL_FILE).signature
    index = record_proof(
        written.reference,
        signature,
        probe_rows(request, signature),
        folder / _PROOF_FOLDER,
        declared=written.declared,
        traced_rows=written.traced_rows,
        seed=request.seed,
        tolerance=written.tolerance,
        doubt=written.doubt,
    )
    return str(index)


@contextmanager
def _process_kept() -> Iterator[None]:
    """Put the environment and the import path back at the end, as frameworks change both."""
    environment, path = dict(os.environ), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
