"""Child processes: started, watched, listened to, and gone when their parent is done with them.

A child is a fresh interpreter in its own session, so that it can be ended with everything that
it started. What it prints goes into a log beside its request; the end of that log is shown only
if it dies.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from onnxq.events import Tell
from onnxq.isolation.environment import child_environment
from onnxq.isolation.lines import Lines
from onnxq.isolation.messages import (
    LOG_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    Answered,
    Ready,
)
from onnxq.isolation.watching import ChildLimits, Watch, end_group
from onnxq.stages import Conversation, Stage

RequestT = TypeVar("RequestT", bound=Struct)
ResultT = TypeVar("ResultT", bound=Struct)
QuestionT = TypeVar("QuestionT", bound=Struct)
AnswerT = TypeVar("AnswerT", bound=Struct)


@dataclass(frozen=True)
class Workplace:
    """Where stages work, and within which limits.

    Attributes:
        folder: The private work folder; each stage gets a folder of its own in it.
        limits: Of every child.
        tell: Who listens to progress.
    """

    folder: Path
    limits: ChildLimits
    tell: Tell

    def new_folder(self, name: str) -> Path:
        """Make a folder for one stage, such as ``03-prepare``."""
        number = sum(1 for _ in self.folder.iterdir())
        folder = self.folder / f"{number:02d}-{name.replace(' ', '-')}"
        folder.mkdir()
        return folder


def run_stage(stage: Stage[RequestT, ResultT], request: RequestT, place: Workplace) -> ResultT:
    """Run a stage in a child of its own.

    Args:
        stage: Which.
        request: What is asked.
        place: Where, and within which limits.

    Returns:
        The stage's result; the paths in it lie in the work folder.

    Raises:
        OnnxqError: What the stage raised.
        StageError: If the child died of a signal or ran into a limit.
        WorkerBugError: If the child raised what nobody foresaw.
    """
    folder = place.new_folder(stage.name)
    (folder / REQUEST_FILE).write_bytes(msgspec.json.encode(request))
    with _child(stage.name, folder, place) as watch:
        watch.wait_for(Ready)
    return msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=stage.result)


@contextmanager
def open_conversation(
    kind: Conversation[RequestT, QuestionT, AnswerT], request: RequestT, place: Workplace
) -> Iterator[Callable[[QuestionT], AnswerT]]:
    """Open a child that answers questions, and end it afterwards.

    Args:
        kind: Which.
        request: What it opens.
        place: Where, and within which limits; the wall limit holds for each answer.

    Yields:
        A function from a question to its answer. It raises as :func:`run_stage` does.
    """
    folder = place.new_folder(kind.name)
    (folder / REQUEST_FILE).write_bytes(msgspec.json.encode(request))
    with _child(kind.name, folder, place) as watch:
        watch.wait_for(Ready)

        def ask(question: QuestionT) -> AnswerT:
            watch.send(msgspec.json.encode(question))
            answered = watch.wait_for(Answered)
            return msgspec.json.decode(answered.answer, type=kind.answer)

        yield ask


@contextmanager
def _child(name: str, folder: Path, place: Workplace) -> Iterator[Watch]:
    read_end, write_end = os.pipe()
    command = [sys.executable, "-I", "-B", "-m", "onnxq._worker", name, str(folder), str(write_end)]
    with (folder / LOG_FILE).open("wb") as log, os.fdopen(read_end, "rb", buffering=0) as pipe:
        process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(write_end,),
            start_new_session=True,
            env=child_environment(folder),
            cwd=folder,
        )
        os.close(write_end)
        try:
            lines = Lines(pipe.fileno())
            yield Watch(name, process, lines, folder, place.limits, place.tell)
        finally:
            end_group(process)
