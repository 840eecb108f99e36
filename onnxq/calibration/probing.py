"""One run of a model tells what collecting its activations will take."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from onnxq.arrays import Array
from onnxq.calibration.collecting import OpenExposed
from onnxq.calibration.counting import counting_kind
from onnxq.calibration.effort import give_back_memory, resident_bytes, watch_effort
from onnxq.calibration.memory import Probe
from onnxq.graph.pruning import count_elements_of, in_graph_order
from onnxq.graph.tensor_sizes import infer_sizes
from onnxq.runtime import open_predict

_FLOAT_BYTES = 4
_COUNTER_BYTES = 2 << 20  # a table of 1 MiB, and what Python takes for a thread
_NUMPY_BYTES = 9  # a value: bincount makes int64 of it, and isfinite a bool


def probe_run(
    open_exposed: OpenExposed,
    proto: onnx.ModelProto,
    tensors: Sequence[str],
    inputs: Mapping[str, Array],
    folder: Path,
    *,
    base_bytes: int,
    preparing_bytes: int,
) -> Probe:
    """Run a model once, and measure what that takes.

    Sizes of tensors are inferred. Where a shape depends on values, it is run with an operator
    that tells the size, and holds these tensors together for a moment.

    Args:
        open_exposed: Loads the model.
        proto: The model, below 2 GB.
        tensors: Float32 activations; inputs may be among them.
        inputs: Of the run that takes the most, as :attr:`Feeds.largest_run` tells it.
        folder: Where a copy of the model may lie for a moment.
        base_bytes: Resident size beyond which memory is counted.
        preparing_bytes: Most memory that it took until now.

    Returns:
        What was found.

    Raises:
        InferenceError: If onnxruntime cannot load or run the model.
    """
    known = _sizes(proto, tensors, inputs, folder)
    sizes = {name: known[name] for name in in_graph_order(proto.graph, tensors)}
    made = [name for name in sizes if name not in inputs]
    give_back_memory()
    with watch_effort(base_bytes) as read_effort:
        predict = open_exposed(made[-1:]) if made else None
        opening = read_effort()
    give_back_memory()
    opened = resident_bytes()
    held, begun = 0, time.perf_counter()
    if predict is not None:
        held = sum(array.nbytes for array in predict(inputs).values())
    run_seconds = time.perf_counter() - begun
    grown = resident_bytes() - opened
    return Probe(
        base_bytes=base_bytes,
        preparing_bytes=preparing_bytes,
        opening_bytes=opening.peak_bytes,
        session_bytes=max(0, opened - base_bytes),
        run_bytes=max(0, grown - held),
        input_bytes=sum(array.nbytes for array in inputs.values()),
        activation_bytes=_FLOAT_BYTES * sum(known.values()),
        counting_bytes=_counting_bytes(max(sizes.values(), default=0)),
        tensor_bytes={name: _FLOAT_BYTES * size for name, size in sizes.items()},
        run_seconds=run_seconds,
    )


def _counting_bytes(largest: int) -> int:
    """Return what a thread counts with; NumPy copies what it counts."""
    return _COUNTER_BYTES + (_NUMPY_BYTES * largest if counting_kind() == "numpy" else 0)


def _sizes(
    proto: onnx.ModelProto, tensors: Sequence[str], inputs: Mapping[str, Array], folder: Path
) -> dict[str, int]:
    """Return how many values tensors have; all of those asked for, and others."""
    known = infer_sizes(proto, {name: array.shape for name, array in inputs.items()})
    known |= {name: array.size for name, array in inputs.items()}
    unknown = [name for name in tensors if name not in known]
    if unknown:
        known |= _count(proto, unknown, inputs, folder)
    return known


def _count(
    proto: onnx.ModelProto, tensors: Sequence[str], inputs: Mapping[str, Array], folder: Path
) -> dict[str, int]:
    model, names = count_elements_of(proto, tensors)
    path = folder / "sizes.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        predict = open_predict(path, title="the model")
    finally:
        path.unlink()
    found = predict(inputs)
    return {tensor: int(found[name]) for tensor, name in zip(tensors, names, strict=True)}
