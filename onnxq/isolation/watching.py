"""A parent's view of one child: its messages, its limits, its death."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from onnxq.errors import OnnxqError, StageError
from onnxq.events import Progressed, Tell
from onnxq.isolation.lines import MORE, Lines
from onnxq.isolation.messages import (
    LOG_FILE,
    Answered,
    Bug,
    KnownFailure,
    Message,
    Ready,
    WorkerBugError,
    as_error,
)

_POLL_S = 0.1
_STAGE_WALL_S = 1800.0
_LOG_TAIL_BYTES = 4096
_MIB = 1024 * 1024

_DECODER = msgspec.json.Decoder(Message)

ExpectedT = TypeVar("ExpectedT", Ready, Answered)


@dataclass(frozen=True)
class ChildLimits:
    """What a child may use before it is ended.

    Attributes:
        wall_s: Seconds until its result, or until an answer.
        memory_bytes: Its resident size.
    """

    wall_s: float
    memory_bytes: int


def default_limits() -> ChildLimits:
    """Return the limits of a child on this machine: half an hour, 80 % of the free memory."""
    available = int(psutil.virtual_memory().available)
    return ChildLimits(wall_s=_STAGE_WALL_S, memory_bytes=available * 8 // 10)


@dataclass(frozen=True)
class Watch:
    """A running child.

    Attributes:
        name: Of its stage.
        process: The child.
        messages: Where its messages come in, a line each.
        folder: Its folder, with its log.
        limits: What it may use.
        tell: Who listens to progress.
    """

    name: str
    process: subprocess.Popen[bytes]
    messages: Lines
    folder: Path
    limits: ChildLimits
    tell: Tell

    def send(self, line: bytes) -> None:
        """Send a line to the child; a child that is gone is noticed when it does not answer."""
        stdin = self.process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError):
                stdin.write(line + b"\n")
                stdin.flush()

    def wait_for(self, expected: type[ExpectedT]) -> ExpectedT:
        """Pass on progress until the expected message comes.

        Args:
            expected: Type of the message that ends the waiting.

        Returns:
            That message.

        Raises:
            OnnxqError: What the stage raised.
            StageError: If the child died, or ran into a limit.
            WorkerBugError: If the child raised what nobody foresaw.
        """
        for line in self._lines(time.monotonic() + self.limits.wall_s):
            match _DECODER.decode(line):
                case Progressed() as progressed:
                    self.tell(progressed)
                case KnownFailure() as failure:
                    raise self._from(as_error(failure))
                case Bug(traceback=traceback):
                    message = f"stage {self.name!r} failed in a way that onnxq did not foresee"
                    message = f"{message}\n\n{traceback}"
                    raise WorkerBugError(message)
                case message:
                    if isinstance(message, expected):
                        return message
        raise self._from(self._death())

    def _lines(self, deadline: float) -> Iterator[bytes]:
        """Yield lines until the child ends; the limits hold for one that tells a lot, too."""
        next_look = time.monotonic() + _POLL_S
        while line := self.messages.next_line(_POLL_S):
            now = time.monotonic()
            if line is MORE or now > next_look:
                self._check_memory()
                if now > deadline:
                    raise self._from(self._timeout())
                next_look = now + _POLL_S
            if line is not MORE:
                yield line

    def _check_memory(self) -> None:
        used = resident_bytes(self.process.pid)
        if used > self.limits.memory_bytes:
            message = (
                f"stage {self.name!r} used {used // _MIB} MiB of memory; "
                f"the limit is {self.limits.memory_bytes // _MIB} MiB. It was ended."
            )
            hint = "Use fewer rows (--limit), or free memory."
            raise self._from(StageError(message, code="OQ183", hint=hint))

    def _from(self, error: OnnxqError) -> OnnxqError:
        error.stage = self.name
        return error

    def _timeout(self) -> StageError:
        message = f"stage {self.name!r} gave no result within {self.limits.wall_s:g} s."
        hint = "Use fewer rows (--limit), or check that the model ends on every input."
        return StageError(message, code="OQ182", hint=hint)

    def _death(self) -> StageError:
        status = self.process.wait()
        cause = f"exit status {status}"
        if status < 0:
            cause = f"signal {signal.Signals(-status).name}"
        tail = _tail(self.folder / LOG_FILE)
        message = f"the process of stage {self.name!r} died of {cause}." + tail
        hint = "The model given was not modified. A crash in a library: try a newer version of it."
        return StageError(message, code="OQ181", hint=hint)


def resident_bytes(pid: int) -> int:
    """Return the resident size of a process; 0 if it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a child with everything in its session, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _tail(log: Path) -> str:
    text = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    last = text.splitlines()[-10:]
    return "".join(f"\n  | {line}" for line in last)
