"""The door to onnxruntime: a model file becomes something that predicts.

onnxruntime's telemetry (on by default in its official builds since 1.29) is switched off before
it is imported; a value that the user set wins.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from onnxq.arrays import Array, Predict
from onnxq.errors import InferenceError

__all__ = [
    "RUNTIME_VERSION",
    "Array",
    "Predict",
    "Session",
    "name_failures",
    "open_predict",
    "open_session",
    "session_options",
]

RUNTIME_VERSION: str = onnxruntime.__version__

Session: TypeAlias = onnxruntime.InferenceSession
"""A loaded model, as onnxruntime has it."""

_ERROR_SEVERITY = 3
_RUN_FAILURES: tuple[type[Exception], ...] = (
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
    RuntimeError,  # an input that no tensor can be made of
    ValueError,  # an input that is missing
    MemoryError,
)
"""What ``run`` raises: classes of its own, which share no base but Exception, and three more."""


def session_options(*, threads: int = 1, optimize: bool = True) -> onnxruntime.SessionOptions:
    """Make the options that every session of onnxq starts from.

    Worker threads spin within a run, as they do by default, and stop at its end: spinning on,
    the workers of a session that waits for its turn would steal a core from the one that is
    being measured. Without any spinning, models of small operators would run half as fast at
    two threads as they do where they are served.

    Args:
        threads: Threads inside one run.
        optimize: Whether onnxruntime may rewrite the graph (its default).

    Returns:
        Fresh options, to be changed by the caller.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR_SEVERITY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def open_session(path: Path | str, options: onnxruntime.SessionOptions) -> Session:
    """Load a model on the CPU execution provider.

    Args:
        path: An ``.onnx`` file.
        options: From :func:`session_options`.

    Returns:
        The session.

    Raises:
        InferenceError: If onnxruntime cannot load it; its own words are in the message.
    """
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exception classes derive from Exception alone
        message = f"onnxruntime {RUNTIME_VERSION} cannot load {Path(path).name}: {error}"
        hint = "Check the file with onnx.checker, or export it again at a lower opset."
        raise InferenceError(message, code="OQ173", hint=hint) from error


def open_predict(path: Path | str, *, threads: int = 1, optimize: bool = True) -> Predict:
    """Load a model as a function from inputs to outputs.

    Args:
        path: An ``.onnx`` file.
        threads: Threads inside one run.
        optimize: Whether onnxruntime may rewrite the graph (its default).

    Returns:
        A function from arrays by input name to arrays by output name; it raises
        ``InferenceError`` where a run fails.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    session = open_session(path, session_options(threads=threads, optimize=optimize))
    names = [output.name for output in session.get_outputs()]

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with name_failures(path, inputs):
            outputs = session.run(names, dict(inputs))
        return {name: np.asarray(a) for name, a in zip(names, outputs, strict=True)}

    return predict


@contextmanager
def name_failures(path: Path | str, inputs: Mapping[str, Array]) -> Iterator[None]:
    """Say of a failed run which model and which inputs it was.

    Args:
        path: The model.
        inputs: What is fed to it in the body.

    Raises:
        InferenceError: Where onnxruntime raises in the body; its own words are in the message.
    """
    try:
        yield
    except _RUN_FAILURES as error:
        shapes = {name: list(array.shape) for name, array in inputs.items()}
        message = f"{Path(path).name} failed on inputs of shapes {shapes}: {error}"
        hint = "Check that the rows are what the model expects: onnxq inspect MODEL."
        raise InferenceError(message, code="OQ173", hint=hint) from error
