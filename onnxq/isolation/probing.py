"""A stage that misbehaves on request: proves that this machine's children can be held.

``onnxq doctor`` asks it for an answer; the tests ask it for everything else.
"""

import os
import signal
import time
from pathlib import Path

from onnxq.errors import SourceError
from onnxq.events import Progressed, Tell
from onnxq.stages import ProbeRequest, ProbeResult

_CHUNK_BYTES = 16 * 1024 * 1024
_FOREVER_S = 3600.0


def probe(request: ProbeRequest, folder: Path, tell: Tell) -> ProbeResult:
    """Do what was asked for.

    Args:
        request: A behaviour.
        folder: A file is left in it.
        tell: Told once.

    Returns:
        What a child sees of its environment, where it was asked to answer.

    Raises:
        SourceError: Where it was asked to fail in a way that is foreseen.
        LookupError: Where it was asked to fail in a way that is not.
    """
    (folder / "touched").touch()
    tell(Progressed("probe", 1, 1))
    match request.behaviour:
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(_FOREVER_S)
        case "eat":
            _eat()
        case "chatter":
            _chatter(tell)
        case "refuse":
            message = "the probe refuses, as it was asked to."
            raise SourceError(message, code="OQ101", hint="Ask for something else.")
        case "break":
            message = "the probe breaks, as it was asked to"
            raise LookupError(message)
        case "exit":
            print("last words", flush=True)  # noqa: T201 - a child's output goes into its log
            os._exit(3)
        case "answer":
            pass
    return ProbeResult(environment=tuple(sorted(os.environ)), pid=os.getpid())


def _eat() -> None:
    eaten: list[bytes] = []
    while True:
        eaten.append(os.urandom(_CHUNK_BYTES))
        time.sleep(0.01)


def _chatter(tell: Tell) -> None:
    while True:
        tell(Progressed("probe", 1, 1))
        time.sleep(0.01)
