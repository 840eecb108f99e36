"""A model, its rows and a cap on memory: what is needed to collect statistics is made ready."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

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
from onnxq.calibration.memory import CollectingPlan, Probe, plan_collecting
from onnxq.calibration.probing import probe_run
from onnxq.events import Tell


class OpenCollection(Protocol):
    """Makes ready what collects statistics of runs: the model is loaded, and run once."""

    def __call__(self, rows: NamedRuns, *, copies: int) -> AbstractContextManager["Collection"]:
        """Open it; so many statistics of each tensor there will be at a time."""


@dataclass(frozen=True)
class Collection:
    """Statistics can be collected, at once or in rounds; made by :func:`open_collection`.

    Attributes:
        plan: Passes, threads and predicted memory.
        rows: All runs.
        stride: Every so-many-th value is counted.
        open_exposed: Loads the model.
        read_effort: Tells what was taken since the collection was opened, beyond the base.
        opening_seconds: Wall time until it was open.
        run_seconds: Wall time of the model's first run.
    """

    plan: CollectingPlan
    rows: NamedRuns
    stride: int
    open_exposed: OpenExposed
    read_effort: ReadEffort
    opening_seconds: float
    run_seconds: float

    def collect(
        self, chosen: Sequence[int], *, start: Statistics, keep: Keep, tell: Tell
    ) -> Collected:
        """Look at some runs; see :func:`~onnxq.calibration.collecting.collect_statistics`."""
        how = Collecting(passes=self.plan.passes, threads=self.plan.threads, stride=self.stride)
        return collect_statistics(
            self.open_exposed, self.rows, how, chosen=chosen, start=start, keep=keep, tell=tell
        )


@contextmanager
def open_collection(  # noqa: PLR0913 - figures, each named where it is called
    proto: onnx.ModelProto,
    tensors: Sequence[str],
    rows: NamedRuns,
    folder: Path,
    *,
    memory_bytes: int,
    threads: int,
    stride: int = 1,
    copies: int = 1,
    spare_bytes: int = 0,
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
        copies: Statistics of each tensor at a time, as :func:`plan_collecting` takes it.
        spare_bytes: What the plan reckons with beside what was measured.

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
        plan = plan_collecting(
            _with_spare(probe, spare_bytes),
            runs=len(rows.feeds),
            cap_bytes=cap_bytes,
            threads=threads,
            copies=copies,
        )
        yield Collection(
            plan=plan,
            rows=rows,
            stride=stride,
            open_exposed=open_exposed,
            read_effort=read_effort,
            opening_seconds=read_effort().seconds,
            run_seconds=probe.run_seconds,
        )


def _with_spare(probe: Probe, spare_bytes: int) -> Probe:
    return replace(
        probe,
        preparing_bytes=probe.preparing_bytes + spare_bytes,
        opening_bytes=probe.opening_bytes + spare_bytes,
        session_bytes=probe.session_bytes + spare_bytes,
    )
