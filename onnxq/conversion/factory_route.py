"""The route of factories: called first, and then it is known which framework's model it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.conversion.factories import call_factory
from onnxq.conversion.frameworks import framework_of
from onnxq.conversion.keras_models import prepare_keras
from onnxq.conversion.tensorflow_routes import written_keras_model
from onnxq.conversion.torch_routes import written_torch_model
from onnxq.conversion.written import KERAS_EXTRA, TORCH_EXTRA, Written, missing_extra
from onnxq.errors import MissingDependencyError, SourceError
from onnxq.sniffing import FileKind, sniff_file
from onnxq.sources import Factory, WeightsFile, source_path
from onnxq.stages import ConvertRequest
from onnxq.user_code import importable_from

_EXTRAS = {"torch": TORCH_EXTRA, "keras": KERAS_EXTRA, "tensorflow": KERAS_EXTRA}
"""Packages that the user's code imports, and which extra of ours brings them."""

_SUITABLE = {
    "torch": frozenset({FileKind.TORCH_CHECKPOINT, FileKind.SAFETENSORS}),
    "keras": frozenset({FileKind.HDF5, FileKind.KERAS_HDF5}),
}
_SAVING = {
    "torch": "torch.save(module.state_dict(), 'weights.pt')",
    "keras": "model.save_weights('model.weights.h5')",
}


@contextmanager
def factory_route(request: ConvertRequest, source: Factory, destination: Path) -> Iterator[Written]:
    """Call a factory and export what it returns; the user's folders stay importable meanwhile."""
    with importable_from(request.trusted_folders):
        prepare_keras()
        try:
            model = call_factory(source, request.trusted_folders, request.working_folder)
        except MissingDependencyError as error:
            raise _name_extra(source, error) from error
        framework = framework_of(model)
        _check_weights(source, framework)
        if framework == "keras" and callable(model):
            yield written_keras_model(request, source, model, destination)
        else:
            yield written_torch_model(request, model, destination)


def _name_extra(source: Factory, error: MissingDependencyError) -> Exception:
    """Name our extra where the user's code imports a framework that is not installed."""
    cause = error.__cause__
    missing = (cause.name or "").partition(".")[0] if isinstance(cause, ImportError) else ""
    if missing in _EXTRAS and isinstance(cause, ModuleNotFoundError):
        return missing_extra(_EXTRAS[missing], source_path(source), cause)
    return error


def _check_weights(source: Factory, framework: str) -> None:
    """Refuse weights of another framework before anything tries to load them."""
    if not isinstance(source.weights, WeightsFile):
        return
    path = Path(source.weights.path)
    kind = sniff_file(path)
    if kind not in _SUITABLE[framework]:
        made = "a Keras model" if framework == "keras" else "a PyTorch module"
        message = f"{source_path(source)} makes {made}; {path.name} is a {kind.value}."
        hint = f"Save its weights by  {_SAVING[framework]}"
        raise SourceError(message, code="OQ107", hint=hint)
