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
from onnxq.calibration.convergence import Choose
from onnxq.calibrations import CalibrationEffort, CalibrationOrigin
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.stages import CalibrateRequest


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What statistics are gathered of, and how.

    Attributes:
        request: Which part of the rows, which options, and where the cache is.
        tensors: Names of activations, in the order of the graph.
        open_collection: Makes ready what collects, once it is needed.
        choose: Chooses ranges, to see whether they have settled.
        tell: Is told how many runs are done.
        begun: When the stage began, by ``time.perf_counter``.
    """

    request: CalibrateRequest
    tensors: tuple[str, ...]
    open_collection: OpenCollection
    choose: Choose
    tell: Tell
    begun: float


@dataclass(frozen=True)
class Looking:
    """Looks at runs, and takes down what that took; made by :func:`open_looking`.

    Attributes:
        gathering: What is watched, and how.
        runs: All runs.
        identity: What statistics are of.
        stack: Closes in the end what was opened.
        findings: About the cache; filled in.
    """

    gathering: Gathering
    runs: NamedRuns
    identity: StatisticsIdentity
    stack: ExitStack
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
        with open_cache(self.gathering.request.cache_folder, self.identity, part=part) as cache:
            known: Statistics = cache.load(self.gathering.tensors)
            is_known = all(
                name in known and known[name].row_seen[chosen].all()
                for name in self.gathering.tensors
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
        before = time.perf_counter() - self.gathering.begun
        found = collection.collect(
            chosen, start=start, keep=Checkpoints(cache.keep), tell=self.gathering.tell
        )
        cache.keep(found.statistics)
        self._origins.append("resumed" if start else "computed")
        if found.predicted_seconds:
            self._forecasts.append(before + found.predicted_seconds)
        return found.statistics

    def _collection(self, copies: int) -> Collection:
        if not self._opened:
            self._opened.append(
                self.stack.enter_context(self.gathering.open_collection(self.runs, copies=copies))
            )
        return self._opened[0]

    def effort(self) -> CalibrationEffort:
        """Tell what it took until now; rows are not told."""
        effort = CalibrationEffort(
            origin=self._origin(),
            rows=0,
            given_rows=0,
            tensors=len(self.gathering.tensors),
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
    gathering: Gathering, runs: NamedRuns, identity: StatisticsIdentity
) -> Iterator[Looking]:
    """Open what looks at runs; the arguments are its attributes."""
    with ExitStack() as stack:
        yield Looking(gathering, runs, identity, stack)
