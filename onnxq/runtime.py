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
from onnxq.errors import InferenceError, ModelLoadError
from onnxq.providers import DEFAULT_PROVIDER, PROVIDERS
from onnxq.wording import shorten_sentence

__all__ = [
    "RUNTIME_VERSION",
    "Array",
    "Predict",
    "Session",
    "SessionOptions",
    "count_left_nodes",
    "list_providers",
    "name_failures",
    "open_predict",
    "open_session",
    "session_options",
    "write_optimized_to",
]

RUNTIME_VERSION: str = onnxruntime.__version__

Session: TypeAlias = onnxruntime.InferenceSession
"""A loaded model, as onnxruntime has it."""

SessionOptions: TypeAlias = onnxruntime.SessionOptions
"""How a model is loaded and run, as onnxruntime has it."""

_ERROR_SEVERITY = 3
_LEAST_SIDE_BYTES = 1024
"""Weights of at least so many bytes are written beside a dumped graph: nobody reads them."""
_MOST_CHARACTERS = 160
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


def session_options(
    *, threads: int = 1, optimize: bool = True, memory_pattern: bool = True
) -> onnxruntime.SessionOptions:
    """Make the options that every session of onnxq starts from.

    Worker threads spin within a run, as they do by default, and stop at its end: spinning on,
    the workers of a session that waits for its turn would steal a core from the one that is
    being measured. Without any spinning, models of small operators would run half as fast at
    two threads as they do where they are served.

    Args:
        threads: Threads inside one run.
        optimize: Whether onnxruntime may rewrite the graph (its default).
        memory_pattern: Whether the second run of each shape allocates its activations in one
            block (its default). Without, several runs at a time take less memory.

    Returns:
        Fresh options, to be changed by the caller.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = memory_pattern
    options.log_severity_level = _ERROR_SEVERITY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def write_optimized_to(options: onnxruntime.SessionOptions, path: Path) -> None:
    """Let the session that these options open write the graph that it runs.

    Args:
        options: From :func:`session_options`; changed.
        path: A file to be written, and one with ``.weights`` after its name beside it.
    """
    options.optimized_model_filepath = str(path)
    prefix = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{prefix}_file_name", f"{path.name}.weights")
    options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(_LEAST_SIDE_BYTES))


def list_providers() -> tuple[str, ...]:
    """List the providers that this onnxruntime has, by the names of :mod:`onnxq.providers`."""
    available = onnxruntime.get_available_providers()
    return tuple(name for name, theirs in PROVIDERS.items() if theirs in available)


def open_session(
    path: Path | str,
    options: onnxruntime.SessionOptions,
    *,
    provider: str = DEFAULT_PROVIDER,
) -> Session:
    """Load a model.

    Args:
        path: An ``.onnx`` file.
        options: From :func:`session_options`.
        provider: Who runs it; what it cannot run is run by onnxruntime's default kernels.

    Returns:
        The session.

    Raises:
        ModelLoadError: If onnxruntime cannot load it; its own words are in the message.
        InferenceError: The same, where another provider than the default one cannot.
    """
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            sess_options=options,
            providers=[PROVIDERS[name] for name in dict.fromkeys((provider, DEFAULT_PROVIDER))],
            provider_options=[
                _provider_options(name, options.intra_op_num_threads)
                for name in dict.fromkeys((provider, DEFAULT_PROVIDER))
            ],
            # Else a provider that fails is replaced by the default one, now or in a later run,
            # and a line on the standard output is all that tells.
            enable_fallback=False,
        )
    except Exception as error:  # its exception classes derive from Exception alone
        # Its words name the file where it lies, which is a private copy most of the time.
        said = str(error).replace(str(path), Path(path).name)
        raise _load_failure(Path(path).name, provider, said) from error
    if PROVIDERS[provider] not in session.get_providers():
        raise _load_failure(Path(path).name, provider, "it left the provider out.")
    return session


def _load_failure(title: str, provider: str, reason: str) -> InferenceError:
    message = f"onnxruntime {RUNTIME_VERSION} cannot load {title}"
    if provider == DEFAULT_PROVIDER:
        hint = "Check the file with onnx.checker, or export it again at a lower opset."
        return ModelLoadError(f"{message}: {reason}", code="OQ173", hint=hint)
    # A provider's text is a screen of C++ that ends with what is wrong.
    *_, essence = (line for line in reason.splitlines() if line.strip())
    essence = shorten_sentence(essence.strip(), _MOST_CHARACTERS, keep_end=True)
    hint = f"See whether the default provider can: --provider {DEFAULT_PROVIDER}."
    return InferenceError(f"{message} on {provider}: {essence}", code="OQ173", hint=hint)


def count_left_nodes(path: Path | str, provider: str) -> tuple[int, int]:
    """Count the nodes of a model that a provider leaves to the default one.

    Counted is the graph that onnxruntime hands out to providers: that of the file after constants
    were folded and what has no effect was dropped, and before nodes are fused or compiled into
    one. An ``If``, ``Loop`` or ``Scan`` that the provider takes counts as one node; the body of
    one that it leaves is counted node by node.

    Args:
        path: An ``.onnx`` file.
        provider: Who was asked for.

    Returns:
        Nodes that are left to the default provider, and all nodes.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    options = session_options()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = open_session(path, options, provider=provider)
    left = total = 0
    for part in session.get_provider_graph_assignment_info():
        count = len(part.get_nodes())
        total += count
        left += count if part.ep_name == PROVIDERS[DEFAULT_PROVIDER] else 0
    return left, total


def open_predict(
    path: Path | str,
    *,
    threads: int = 1,
    optimize: bool = True,
    memory_pattern: bool = True,
    provider: str = DEFAULT_PROVIDER,
    title: str = "",
) -> Predict:
    """Load a model as a function from inputs to outputs.

    Args:
        path: An ``.onnx`` file.
        threads: Threads inside one run.
        optimize: Whether onnxruntime may rewrite the graph (its default).
        memory_pattern: See :func:`session_options`.
        provider: Who runs it.
        title: What failures call the model; empty: the name of its file.

    Returns:
        A function from arrays by input name to arrays by output name; it raises
        ``InferenceError`` where a run fails.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    options = session_options(threads=threads, optimize=optimize, memory_pattern=memory_pattern)
    session = open_session(path, options, provider=provider)
    names = [output.name for output in session.get_outputs()]

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with name_failures(title or path, inputs):
            outputs = session.run(names, dict(inputs))
        return {name: np.asarray(a) for name, a in zip(names, outputs, strict=True)}

    return predict


def _provider_options(provider: str, threads: int) -> dict[str, str]:
    """Make a provider with threads of its own use as many as the session.

    OpenVINO and XNNPACK do not read the session's thread count. OpenVINO is held to float32, as
    the default provider computes: left alone it may pick bfloat16 on CPUs that have it. Nothing
    is cached on disk unless ``cache_dir`` is given.
    """
    if provider == "openvino":
        return {"device_type": "CPU", "num_of_threads": str(threads), "precision": "FP32"}
    if provider == "xnnpack":
        return {"intra_op_num_threads": str(threads)}
    return {}


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
