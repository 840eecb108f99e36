"""Latency of models that are measured together, each in children of its own."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxq.events import StageStarted
from onnxq.findings import Finding
from onnxq.isolation import open_conversation
from onnxq.pipeline.bench import Bench
from onnxq.stages import LATENCY, LatencyChildRequest, Turn, TurnTimes
from onnxq.wording import count_noun

if TYPE_CHECKING:
    from onnxq.profiling.latency import LatencyStudy


def measure_together(
    bench: Bench,
    entries: Mapping[str, LatencyChildRequest],
    threads: tuple[int, ...],
    *,
    batch_rows: int,
    seconds: float,
    least_blocks: int = 0,
) -> "LatencyStudy":
    """Time models interleaved, each in children of its own.

    Args:
        bench: Where the children work.
        entries: By name, how each model is opened; the first is the reference.
        threads: Thread counts.
        batch_rows: Rows of one inference; for the report.
        seconds: Wall time for all of it.
        least_blocks: Fresh processes of each model at least; 0 for the default.

    Returns:
        The study. It raises what the reference's children fail of.
    """
    from onnxq.profiling.latency import (  # noqa: PLC0415 - numpy, late
        LEAST_BLOCKS,
        measure_latencies,
    )

    def open_entry(name: str) -> AbstractContextManager[Callable[[Turn], TurnTimes]]:
        return open_conversation(LATENCY, entries[name], bench.place)

    start, subject = time.monotonic(), count_noun(len(entries), "model")
    bench.tell(StageStarted(LATENCY.name, subject))
    study = measure_latencies(
        tuple(entries),
        open_entry,
        threads=threads,
        batch_rows=batch_rows,
        budget_s=seconds,
        tell=bench.tell,
        least_blocks=least_blocks or LEAST_BLOCKS,
    )
    bench.note(LATENCY.name, subject, time.monotonic() - start)
    return replace(study, findings=(*study.findings, *more_than_cores(threads)))


def more_than_cores(threads: tuple[int, ...]) -> tuple[Finding, ...]:
    """Warn of thread counts that this machine cannot run at once.

    Args:
        threads: Thread counts that were timed.

    Returns:
        One finding for the largest of them; none where the cores suffice.
    """
    from onnxq.profiling.environment import usable_cores  # noqa: PLC0415 - psutil, late

    cores, most = usable_cores(), max(threads)
    if most <= cores:
        return ()
    has = f"this process may use {count_noun(cores, 'core')}"
    return (
        Finding(
            code="OQ209",
            subject="timing",
            message=f"{most} threads were timed, and {has}: they wait for each other.",
            evidence={"threads": most, "cores": cores},
            fix=f"Time what you will serve with, such as --threads {cores}.",
            severity="warning",
        ),
    )
