"""A factory, by name, becomes the model that it returns; no framework is imported for that."""

import contextlib

from onnxq.conversion.frameworks import framework_of
from onnxq.conversion.keras_models import prepare_keras
from onnxq.errors import SourceError
from onnxq.sources import Factory, source_path
from onnxq.user_code import UserCode, call_named, import_named
from onnxq.wording import with_article

_WRAP = "Write a function of your own that calls it, and name that:  onnxq run FILE.py:build"
_KERAS_2 = (
    "Save it as a SavedModel and give that folder:  model.export('saved')   then  onnxq run saved"
)


def call_factory(
    factory: Factory, trusted_folders: tuple[str, ...], working_folder: str = ""
) -> object:
    """Call a factory.

    Args:
        factory: The factory. What it names may also be a model that is there already.
        trusted_folders: Where a relative ``file.py`` is looked for after the working folder.
        working_folder: Where the user is, whose files a factory may read; empty for here.

    Returns:
        A model of Keras 3 or of PyTorch, with the weights that its factory gave it.

    Raises:
        SourceError: If the factory does not exist (OQ105), cannot be called, fails, or returns
            something else (OQ106).
        MissingDependencyError: If the user's code imports a package that is not installed.
    """
    prepare_keras()
    given = source_path(factory)
    code = UserCode(
        factory.module,
        factory.function,
        given,
        wanted="a function that returns a model",
        error=SourceError,
        hint=_WRAP,
    )
    # Not working_in: Keras must not find the settings in the user's home.
    with contextlib.chdir(working_folder or "."):
        model = import_named(code, trusted_folders)
        if framework_of(model) == "none":
            model = call_named(model, code)
    match framework_of(model):
        case "none":
            found = _several(model) if isinstance(model, tuple | list) else with_article(model)
            message = f"{given} returned {found}, expected a torch.nn.Module or a Keras model."
            raise SourceError(message, code="OQ106", hint=_WRAP)
        case "keras2":
            message = f"{given} returned a model of Keras 2 (tf_keras); expected one of Keras 3."
            raise SourceError(message, code="OQ106", hint=_KERAS_2)
        case _:
            return model


def _several(values: tuple[object, ...] | list[object]) -> str:
    """Describe what a function returns that hands back more than its model."""
    kinds = ", ".join(type(value).__name__ for value in values)
    return f"{with_article(values)} ({kinds})"
