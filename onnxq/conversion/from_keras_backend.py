"""The door to Keras, TensorFlow and tf2onnx: quiet, and with TensorFlow below Keras.

The environment is read while these are imported, so it is set here, before. What the user set
for TensorFlow's log wins; Keras' backend does not, because the exporter needs TensorFlow's.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its notice is printed at any log level
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
import tf2onnx

from onnxq.errors import ConversionError

__all__ = ["check_backend", "keras", "quiet_tf2onnx", "said", "tf", "tf2onnx"]

_MOST_CHARACTERS = 300
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def check_backend() -> None:
    """Raise if Keras was imported before, on another backend.

    Raises:
        ConversionError: If Keras does not run on TensorFlow in this process.
    """
    backend = keras.config.backend()
    if backend != "tensorflow":
        message = f"Keras runs on {backend} in this process; expected tensorflow."
        hint = "Start again with KERAS_BACKEND=tensorflow in the environment."
        raise ConversionError(message, code="OQ151", hint=hint)


@contextmanager
def quiet_tf2onnx() -> Iterator[None]:
    """Silence tf2onnx: what it only logs is checked in the graph that it writes.

    tf2onnx 1.17.0 has a logger of its own, but its GEMM rewriter warns through the root logger,
    which gives that a handler; both are undone.
    """
    own, root = logging.getLogger("tf2onnx"), logging.getLogger()
    level, handlers = own.level, tuple(root.handlers)
    own.setLevel(logging.CRITICAL)
    root.addFilter(_refuse)  # holds for the root's own records, not for those of other loggers
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeFilter(_refuse)
        for added in set(root.handlers) - set(handlers):
            root.removeHandler(added)


def _refuse(_: logging.LogRecord) -> bool:
    return False


def said(error: BaseException) -> str:
    """Return the first words of a library's error: one line, no configurations, no colours."""
    head, _, tail = _ANSI.sub("", str(error)).partition("config=")
    cause = tail.rpartition("Exception encountered:")[2] if "Exception encountered:" in tail else ""
    text = " ".join(f"{head} {cause}".split()) or "no message"
    short = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
    return f"{type(error).__name__}: {short}"
