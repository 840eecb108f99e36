"""The door to Keras, TensorFlow and tf2onnx: quiet, and with TensorFlow below Keras."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

# isort: off
from onnxq.conversion.from_keras_package import check_backend, keras, said  # sets TensorFlow's log
import tensorflow as tf
import tf2onnx
# isort: on

__all__ = ["check_backend", "keras", "quiet_tf2onnx", "said", "tf", "tf2onnx"]


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
