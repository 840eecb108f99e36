"""What calibrating a model would cost, found out on a few random rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxq.arrays import Array
from onnxq.calibration.choosing import RangeChooser
from onnxq.calibration.collecting import NamedRuns, keep_nothing
from onnxq.calibration.collection import open_collection
from onnxq.calibration.effort import TIMED_PARTS
from onnxq.calibration.feeds import Feeds
from onnxq.events import tell_nobody
from onnxq.graph.known_edges import KnownEdges
from onnxq.graph.model_files import load_proto
from onnxq.recipe_kinds import ranges_key
from onnxq.stages import RangesAsked

_MOST_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was found.

    Attributes:
        run_seconds: Wall time of a run, all passes and threads together.
        peak_bytes: Memory that it would take beyond what its process takes anyway.
        passes: Passes over the rows; 0 where there is nothing to watch.
    """

    run_seconds: float
    peak_bytes: int
    passes: int


def rehearse_calibration(
    path: Path,
    asked: tuple[RangesAsked, ...],
    inputs: Mapping[str, Array],
    folder: Path,
    *,
    run_seconds: float,
    memory_bytes: int,
    threads: int,
) -> Rehearsal:
    """Calibrate on one run's inputs, again and again for about two seconds at most.

    Args:
        path: A float model, below 2 GB; prepared or not.
        asked: Ranges that would be calibrated.
        inputs: Of one run.
        folder: Where copies of the model lie in the meantime.
        run_seconds: What a run takes without calibrating.
        memory_bytes: The cap on memory; 0 takes half of what is free.
        threads: Worker threads.

    Returns:
        What it would cost.

    Raises:
        InferenceError: If onnxruntime cannot load or run the model.
        LimitError: OQ185, if the cap cannot be kept.
        SourceError: If the file is not a whole ONNX model.
    """
    proto = load_proto(path)
    wanted = {ranges_key(one.recipe, one.scope): one for one in asked}
    tensors = RangeChooser(KnownEdges(proto.graph), wanted).observed
    if not tensors:
        return Rehearsal(run_seconds=0.0, peak_bytes=0, passes=0)
    count = min(threads + TIMED_PARTS, max(2, int(_MOST_S / max(run_seconds, 1e-6))))
    rows = NamedRuns(_repeated(inputs, count), tuple(map(str, range(count))))
    with open_collection(
        proto, tensors, rows, folder, memory_bytes=memory_bytes, threads=threads
    ) as collection:
        plan = collection.plan
        found = collection.collect(range(count), start={}, keep=keep_nothing, tell=tell_nobody)
    passes = len(plan.passes)
    run_s = found.run_seconds or found.seconds / (count * passes)
    return Rehearsal(
        run_seconds=run_s * passes, peak_bytes=plan.predicted_peak_bytes, passes=passes
    )


def _repeated(inputs: Mapping[str, Array], count: int) -> Feeds:
    """Make feeds of the same inputs, so many times; every input is fed as it is."""
    return Feeds({name: [array] * count for name, array in inputs.items()}, 1, tuple(inputs))
