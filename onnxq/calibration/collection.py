"""A model, its rows and a cap on memory: what is needed to collect statistics is made ready."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxq.calibration.collecting import (
    Collected,
    Collecting,
    Keep,
    NamedRuns,
    OpenExposed,
    Statistics,
    collect_statistics,
    naming_run,
)
from onnxq.calibration.effort import (
    ReadEffort,
    give_back_memory,
    resident_bytes,
    return_large_blocks,
    watch_effort,
)
from onnxq.calibration.exposure import expose
from onnxq.calibration.free_memory import allowed_bytes
from onnxq.calibration.memory import CollectingPlan, plan_collecting
from onnxq.calibration.probing import probe_run
from onnxq.events import Tell


@dataclass(frozen=True)
class Collection:
    """Statistics can be collected, at once or in rounds; made by :func:`open_collection`.

    Attributes:
        plan: Passes, threads and predicted memory.
        rows: All runs.
        stride: Every so-many-th value is counted.
        open_exposed: Loads the model.
        read_effort: Tells what was taken since the collection was opened, beyond the base.
    """

    plan: CollectingPlan
    rows: NamedRuns
    stride: int
    open_exposed: OpenExposed
    read_effort: ReadEffort

    def collect(
        self, chosen: Sequence[int], *, start: Statistics, keep: Keep, tell: Tell
    ) -> Collected:
        """Look at some runs; see :func:`~onnxq.calibration.collecting.collect_statistics`."""
        how = Collecting(passes=self.plan.passes, threads=self.plan.threads, stride=self.stride)
        return collect_statistics(
            self.open_exposed, self.rows, how, chosen=chosen, start=start, keep=keep, tell=tell
        )


@contextmanager
def open_collection(
    proto: onnx.ModelProto,
    tensors: Sequence[str],
    rows: NamedRuns,
    folder: Path,
    *,
    memory_bytes: int,
    threads: int,
    stride: int = 1,
) -> Iterator[Collection]:
    """Prepare a model, run it on its largest row, and plan how to keep a cap on memory.

    Args:
        proto: The model, below 2 GB.
        tensors: Float32 activations to be watched; inputs may be among them.
        rows: All runs.
        folder: Where copies of the model lie in the meantime.
        memory_bytes: Most memory beyond what the process takes now; 0 takes half of what is free.
        threads: Most runs at the same time.
        stride: Every so-many-th value is counted; 1 counts each.

    Yields:
        What collects.

    Raises:
        InferenceError: If onnxruntime cannot load or run the model.
        LimitError: OQ185, if one tensor in one thread would already take more.
    """
    return_large_blocks()
    give_back_memory()
    base_bytes = resident_bytes()
    cap_bytes = allowed_bytes(memory_bytes)
    with (
        watch_effort(base_bytes) as read_effort,
        expose(proto, folder, tensors) as open_exposed,
    ):
        largest = rows.feeds.largest_run
        with naming_run(rows.names[largest]):
            probe = probe_run(
                open_exposed,
                proto,
                tensors,
                rows.feeds[largest],
                folder,
                base_bytes=base_bytes,
                preparing_bytes=read_effort().peak_bytes,
            )
        plan = plan_collecting(probe, runs=len(rows.feeds), cap_bytes=cap_bytes, threads=threads)
        yield Collection(plan, rows, stride, open_exposed, read_effort)
