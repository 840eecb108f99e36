"""What can be told of Keras and its models without importing it."""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable


def prepare_keras() -> None:
    """Choose what Keras will run on, and keep it quiet, before anybody imports it.

    TensorFlow, because its exporter writes the better graphs; PyTorch where only that is
    installed. What the user set for TensorFlow's log wins. Where Keras is imported already, in
    a caller's process, its backend stays.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its notice is printed at any log level
    if "keras" in sys.modules:
        return
    only_torch = not importlib.util.find_spec("tensorflow") and importlib.util.find_spec("torch")
    os.environ["KERAS_BACKEND"] = "torch" if only_torch else "tensorflow"


def is_keras_model(value: object) -> bool:
    """Tell whether a value is a model of Keras 3; Keras itself is not imported for it.

    Args:
        value: Such as what a user's factory returned.
    """
    package = sys.modules.get("keras")
    return package is not None and isinstance(value, package.Model)


def keras_input_names(model: Callable[..., object]) -> tuple[str, ...]:
    """Name what a subclassed Keras model's ``call`` must be given.

    Args:
        model: A Keras model.

    Returns:
        Its parameters without defaults, in order.
    """
    call: Callable[..., object] = getattr(model, "call")  # noqa: B009 - Keras is not imported for a type
    parameters = inspect.signature(call).parameters.values()
    plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in plain)
