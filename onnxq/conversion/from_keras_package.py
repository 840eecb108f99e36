"""The door to Keras on whichever framework is installed: TensorFlow, or else PyTorch.

The environment is read while Keras is imported, so it is set here, before.
"""

import re

from onnxq.conversion.keras_models import prepare_keras
from onnxq.errors import ConversionError
from onnxq.wording import shorten_sentence

prepare_keras()

import keras  # noqa: E402 - it reads the environment while it is imported

__all__ = ["check_backend", "keras", "said"]

_MOST_CHARACTERS = 300
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def check_backend(wanted: str) -> None:
    """Raise if Keras was imported before, on another backend.

    Args:
        wanted: ``tensorflow`` or ``torch``.

    Raises:
        ConversionError: If Keras does not run on it in this process.
    """
    backend = keras.config.backend()
    if backend != wanted:
        message = f"Keras runs on {backend} in this process; expected {wanted}."
        hint = f"Start again with KERAS_BACKEND={wanted} in the environment."
        raise ConversionError(message, code="OQ151", hint=hint)


def said(error: BaseException) -> str:
    """Return the first words of a library's error: one line, no configurations, no colours."""
    head, _, tail = _ANSI.sub("", str(error)).partition("config=")
    cause = tail.rpartition("Exception encountered:")[2] if "Exception encountered:" in tail else ""
    text = " ".join(f"{head} {cause}".split()) or "no message"
    return f"{type(error).__name__}: {shorten_sentence(text, _MOST_CHARACTERS)}"
