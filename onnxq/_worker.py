"""The entry of a child: a stage's name and a request in, a result out.

``python -I -m onnxq._worker STAGE FOLDER FD``: the request lies in ``FOLDER/request.json``; lines
of JSON go out through file descriptor ``FD``; a stage's result is written into the folder.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from onnxq.errors import OnnxqError
from onnxq.events import Event, Progressed
from onnxq.isolation.messages import (
    REQUEST_FILE,
    RESULT_FILE,
    Answered,
    Bug,
    Message,
    Ready,
    as_failure,
)
from onnxq.stages import CONVERSATIONS, STAGES, Conversation, Stage

_PR_SET_PDEATHSIG = 1


def main(name: str, folder: Path, descriptor: int) -> int:
    """Run one stage, or open one conversation, and say how it ended.

    Args:
        name: Of the stage.
        folder: Its private folder.
        descriptor: Where messages go.

    Returns:
        The exit status: 0, or 1 after a failure that was said.
    """
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(descriptor, "wb") as pipe:

        def say(message: Message) -> None:
            pipe.write(msgspec.json.encode(message) + b"\n")  # one call: threads tell progress
            pipe.flush()

        try:
            _serve(name, folder, say)
        except OnnxqError as error:
            say(as_failure(error))
            return 1
        except Exception:  # noqa: BLE001 - the parent raises it again, with this traceback
            say(Bug(traceback=traceback.format_exc()))
            return 1
    return 0


def _serve(name: str, folder: Path, say: Callable[[Message], None]) -> None:
    for stage in STAGES:
        if stage.name == name:
            return _run(stage, folder, say)
    for kind in CONVERSATIONS:
        if kind.name == name:
            return _converse(kind, folder, say)
    message = f"there is no stage {name!r}"
    raise LookupError(message)


def _run(stage: Stage[Any, Any], folder: Path, say: Callable[[Message], None]) -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Progressed):
            say(event)

    request = msgspec.json.decode((folder / REQUEST_FILE).read_bytes(), type=stage.request)
    result = _function(stage.target)(request, folder, tell)
    (folder / RESULT_FILE).write_bytes(msgspec.json.encode(result))
    say(Ready())


def _converse(
    kind: Conversation[Any, Any, Any], folder: Path, say: Callable[[Message], None]
) -> None:
    request = msgspec.json.decode((folder / REQUEST_FILE).read_bytes(), type=kind.request)
    answer = _function(kind.target)(request, folder)
    say(Ready())
    questions = msgspec.json.Decoder(kind.question)
    for line in sys.stdin.buffer:
        reply = answer(questions.decode(line))
        say(Answered(answer=msgspec.json.encode(reply).decode()))


def _function(target: str) -> Callable[..., Any]:
    module, name = target.split(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, however it dies."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
