"""Stages, run one after the other: who hears of them, and how long each took."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from onnxq.calibrations import CalibrationEffort
from onnxq.events import StageDone, StageStarted, Tell
from onnxq.findings import Finding
from onnxq.isolation import Workplace, run_stage
from onnxq.pipeline.plans import Course
from onnxq.stages import Stage

RequestT = TypeVar("RequestT", bound=Struct)
ResultT = TypeVar("ResultT", bound=Struct)


@dataclass(frozen=True)
class Bench:
    """Where a run's stages are carried out.

    Attributes:
        place: Work folder and limits of the children.
        tell: Who listens.
        seconds: Wall time by stage so far; filled in while the run goes on.
        findings: Of stages that no candidate owns, such as calibration; filled in likewise.
        efforts: What calibrating took, each time; filled in likewise.
    """

    place: Workplace
    tell: Tell
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    efforts: list[CalibrationEffort] = field(default_factory=list)

    def run(self, stage: Stage[RequestT, ResultT], request: RequestT, subject: str) -> ResultT:
        """Run a stage in a child, and note how long it took.

        Args:
            stage: Which.
            request: What is asked.
            subject: What it works on, for a person.

        Returns:
            Its result. It raises as :func:`onnxq.isolation.run_stage` does.
        """
        start = time.monotonic()
        self.tell(StageStarted(stage.name, subject))
        result = run_stage(stage, request, self.place)
        self.note(stage.name, subject, time.monotonic() - start)
        return result

    def note(self, name: str, subject: str, seconds: float) -> None:
        """Tell that a stage is done, and add its wall time."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.tell(StageDone(name, subject, seconds))


def open_bench(folder: Path, course: Course) -> Bench:
    """Set up a bench in a private folder, as a plan wants its children to be held."""
    return Bench(Workplace(folder, course.child_limits, course.tell), course.tell)
