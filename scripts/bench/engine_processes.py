"""Processes that run a model each, and what is asked of them; part of the latency benchmarks."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from latency_subjects import Subject
from latency_ways import Way
from numpy.typing import NDArray

from onnxq.errors import InferenceError
from onnxq.profiling.latency import Ask
from onnxq.stages import Turn, TurnTimes

ENGINE = Path(__file__).with_name("latency_engine.py")


@dataclass(frozen=True)
class Interpreters:
    """Who runs which engine.

    Attributes:
        openvino: Of the engine ``openvino``; empty where there is none.
    """

    openvino: str

    def words(self, way: Way, subject: Subject, batch_rows: int) -> list[str]:
        """Return the command that opens a way."""
        python = self.openvino if way.engine == "openvino" else sys.executable
        files = (subject.rows, subject.calibration)
        return [
            python,
            "-W",
            "ignore",
            str(ENGINE),
            way.engine,
            way.model,
            *map(str, files),
            str(batch_rows),
        ]


ONNXRUNTIME = Interpreters("")
"""Where no other engine is asked for."""


@contextmanager
def open_way(
    way: Way, subject: Subject, interpreters: Interpreters, batch_rows: int
) -> Iterator[Ask]:
    """Open a fresh process of a way."""
    words = interpreters.words(way, subject, batch_rows)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - ours
        yield partial(_ask, child)
        child.kill()


def _ask(child: subprocess.Popen[bytes], turn: Turn) -> TurnTimes:
    answer = _exchange(child, msgspec.json.encode(turn))
    return msgspec.json.decode(answer, type=TurnTimes)


def _exchange(child: subprocess.Popen[bytes], line: bytes) -> bytes:
    if child.stdin is None or child.stdout is None:
        raise TypeError(child)
    child.stdin.write(line + b"\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    if not answer:
        message = f"the engine ended with {child.wait()}"
        raise InferenceError(message, code="OQ173", hint="Run latency_engine.py by hand.")
    return answer


def predict_rows(way: Way, subject: Subject, interpreters: Interpreters) -> NDArray[np.float64]:
    """Return the first output of all rows, which are run one by one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "outputs.npy")
        words = interpreters.words(way, subject, 1)
        line = json.dumps({"predict": str(file)}) + "\n"
        subprocess.run(words, input=line.encode(), stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - ours
        outputs: NDArray[np.float64] = np.load(file).astype(np.float64)
        return outputs


def sqnr_db(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Return signal over noise of all values together, in dB; infinite where they are equal."""
    noise = ((found - expected) ** 2).sum()
    return float(10 * np.log10((expected**2).sum() / noise)) if noise else np.inf
