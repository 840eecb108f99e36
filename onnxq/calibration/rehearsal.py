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
from onnxq.stages import EstimateRequest

_MOST_S = 2.0

_SPARE_BYTES = 2 * 10**6
"""More than what one process takes differs from what another does, by chance: 0.3 MB were measured.
So a cap that a rehearsal keeps is kept when it is in earnest."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was found.

    Attributes:
        run_seconds: Wall time of a run, all passes and threads together.
        opening_seconds: Wall time until it can begin, and of loading the model for each pass.
        peak_bytes: Memory that it would take beyond what its process takes anyway.
        passes: Passes over the rows; 0 where there is nothing to watch.
    """

    run_seconds: float
    opening_seconds: float
    peak_bytes: int
    passes: int


def rehearse_calibration(
    path: Path,
    request: EstimateRequest,
    inputs: Mapping[str, Array],
    folder: Path,
    *,
    runs: int,
) -> Rehearsal:
    """Calibrate on one run's inputs, again and again for about two seconds at most.

    It must be the first in its process that runs a model: what onnxruntime takes once for all,
    about 10 MB, would else not be counted, as it is where it is in earnest.

    Args:
        path: A float model, below 2 GB; prepared or not.
        request: The ranges that would be calibrated, the cap on memory, the worker threads, and
            whether runs would be looked at in rounds.
        inputs: Of one run.
        folder: Where copies of the model lie in the meantime.
        runs: How many there would be; 0 where nobody knows.

    Returns:
        What it would cost.

    Raises:
        InferenceError: If onnxruntime cannot load or run the model.
        LimitError: OQ185, if the cap cannot be kept.
        SourceError: If the file is not a whole ONNX model.
    """
    proto = load_proto(path)
    wanted = {one.key: one for one in request.asked}
    tensors = RangeChooser(KnownEdges(proto.graph), wanted).observed
    if not tensors:
        return Rehearsal(run_seconds=0.0, opening_seconds=0.0, peak_bytes=0, passes=0)
    most = request.threads + TIMED_PARTS
    count = max(runs, most)
    rows = NamedRuns(_repeated(inputs, count), tuple(map(str, range(count))))
    with open_collection(
        proto,
        tensors,
        rows,
        folder,
        memory_bytes=request.memory_bytes,
        threads=request.threads,
        copies=1 + request.stop_early,
        spare_bytes=_SPARE_BYTES,
    ) as collection:
        plan = collection.plan
        each = collection.run_seconds * len(plan.passes)
        chosen = range(min(most, max(2, int(_MOST_S / max(each, 1e-6)))))
        found = collection.collect(chosen, start={}, keep=keep_nothing, tell=tell_nobody)
    return Rehearsal(
        run_seconds=found.run_seconds or found.seconds / len(chosen),
        opening_seconds=collection.opening_seconds + found.opening_seconds,
        peak_bytes=plan.predicted_peak_bytes,
        passes=len(plan.passes),
    )


def _repeated(inputs: Mapping[str, Array], count: int) -> Feeds:
    """Make feeds of the same inputs, so many times; every input is fed as it is."""
    return Feeds({name: [array] * count for name, array in inputs.items()}, 1, tuple(inputs))
