"""Runs are looked at unless the cache knows them; the model is loaded only if it does not."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from msgspec.structs import replace

from onnxq.calibration.cache import Cache, open_cache
from onnxq.calibration.checkpoints import Checkpoints
from onnxq.calibration.collected_statistics import StatisticsIdentity, is_settled
from onnxq.calibration.collecting import NamedRuns, Statistics
from onnxq.calibration.collection import Collection, OpenCollection
from onnxq.calibrations import CalibrationEffort, CalibrationOrigin
from onnxq.events import Tell
from onnxq.findings import Finding


@dataclass(frozen=True)
class Looking:
    """Looks at runs, and takes down what that took; made by :func:`open_looking`.

    Attributes:
        tensors: What is watched.
        runs: All runs.
        identity: What statistics are of.
        cache_folder: Where they are kept; empty keeps none.
        open_collection: Makes ready what collects, once it is needed.
        stack: Closes it in the end.
        tell: Is told how many runs are done.
        begun: When the stage began, by ``time.perf_counter``.
        findings: About the cache; filled in.
    """

    tensors: tuple[str, ...]
    runs: NamedRuns
    identity: StatisticsIdentity
    cache_folder: str
    open_collection: OpenCollection
    stack: ExitStack
    tell: Tell
    begun: float
    findings: list[Finding] = field(default_factory=list)
    _opened: list[Collection] = field(default_factory=list)
    _origins: list[CalibrationOrigin] = field(default_factory=list)
    _forecasts: list[float] = field(default_factory=list)

    def look(self, chosen: Sequence[int], part: str) -> Statistics:
        """Look at some runs.

        Args:
            chosen: Which.
            part: What these runs are called in the cache: the same name, the same runs.

        Returns:
            Statistics of these runs.

        Raises:
            InferenceError: If the model fails on a run; the run is named.
            LimitError: OQ185, if the cap on memory is too low.
        """
        with open_cache(self.cache_folder, self.identity, part=part) as cache:
            known: Statistics = cache.load(self.tensors)
            is_known = all(
                name in known and known[name].row_seen[chosen].all() for name in self.tensors
            )
            if is_known and is_settled(known):
                self._origins.append("cached")
            else:
                known = self._collect(chosen, known, cache)
            self.findings.extend(one for one in cache.findings if one not in self.findings)
        return known

    def _collect(self, chosen: Sequence[int], start: Statistics, cache: Cache) -> Statistics:
        # Rounds are put together in the end: those of before are held meanwhile.
        collection = self._collection(1 + bool(start) + self.identity.stop_early)
        before = time.perf_counter() - self.begun
        found = collection.collect(
            chosen, start=start, keep=Checkpoints(cache.keep), tell=self.tell
        )
        cache.keep(found.statistics)
        self._origins.append("resumed" if start else "computed")
        if found.predicted_seconds:
            self._forecasts.append(before + found.predicted_seconds)
        return found.statistics

    def _collection(self, copies: int) -> Collection:
        if not self._opened:
            self._opened.append(
                self.stack.enter_context(self.open_collection(self.runs, copies=copies))
            )
        return self._opened[0]

    def effort(self) -> CalibrationEffort:
        """Tell what it took until now; rows are not told."""
        effort = CalibrationEffort(
            origin=self._origin(),
            rows=0,
            given_rows=0,
            tensors=len(self.tensors),
            stride=self.identity.stride,
            # Of several rounds nobody knew beforehand how many there would be.
            predicted_seconds=sum(self._forecasts) if len(self._origins) == 1 else 0.0,
        )
        if not self._opened:
            return effort
        took, plan = self._opened[0].read_effort(), self._opened[0].plan
        return replace(
            effort,
            passes=len(plan.passes),
            cap_bytes=plan.cap_bytes,
            predicted_peak_bytes=plan.predicted_peak_bytes,
            peak_bytes=took.peak_bytes,
            cpu_seconds=took.cpu_seconds,
        )

    def _origin(self) -> CalibrationOrigin:
        kinds = set(self._origins)
        if kinds <= {"computed"}:
            return "computed"
        return "cached" if kinds == {"cached"} else "resumed"


@contextmanager
def open_looking(
    tensors: tuple[str, ...],
    runs: NamedRuns,
    identity: StatisticsIdentity,
    open_collection: OpenCollection,
    *,
    cache_folder: str,
    tell: Tell,
    begun: float,
) -> Iterator[Looking]:
    """Open what looks at runs; the arguments are its attributes."""
    with ExitStack() as stack:
        yield Looking(tensors, runs, identity, cache_folder, open_collection, stack, tell, begun)
