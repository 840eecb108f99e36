"""One cell of the calibration benchmark, in a process of its own: one way, one model, so many rows.

Usage: python scripts/bench/calibration_cell.py FOLDER MODEL WAY ROWS DESTINATION

Prints one line of JSON: CPU seconds, wall seconds, and the peak of the resident size over what it
was before. What is measured begins with loading the model and ends with ranges; imports and the
opening of the rows come before it. The ranges go to DESTINATION.
"""

import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
from calibration_models import Subject, make_subject
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from onnxq.calibration.calibrating import calibrate
from onnxq.datasets.values import CalibrationSet
from onnxq.events import tell_nobody
from onnxq.graph.model_files import load_proto
from onnxq.graph.operator_kinds import QDQ_OPERATORS
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.range_methods import parse_method
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import StaticQdq
from onnxq.runtime import open_predict
from onnxq.stages import CalibrateRequest, RangesAsked

_SAMPLING_S = 0.005
_THREADS = 2


class RowFile:
    """Rows of an ``.npy`` file, read one by one: what is mapped would count as resident.

    Args:
        path: C-ordered.
    """

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self._shape, self._dtype, self._offset = mapped.shape[1:], mapped.dtype, mapped.offset
        self._path = path

    def __getitem__(self, row: int) -> NDArray[np.generic]:
        """Read a row, with a batch axis of 1."""
        count = int(np.prod(self._shape))
        found = np.fromfile(
            self._path,
            self._dtype,
            count,
            offset=self._offset + row * count * self._dtype.itemsize,
        )
        return found.reshape(1, *self._shape)


class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped base
    """The rows as onnxruntime's calibrators want them."""

    def __init__(self, subject: Subject, rows: int) -> None:
        self._feeds = feeds(subject, rows)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next row."""
        return next(self._feeds, None)


@dataclass(frozen=True)
class Cost:
    """What a cell took.

    Attributes:
        cpu_s: CPU time of all threads.
        wall_s: Wall time.
        peak_bytes: Highest resident size over that of before.
    """

    cpu_s: float
    wall_s: float
    peak_bytes: int


def feeds(subject: Subject, rows: int) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Read the first rows one by one."""
    files = {name: RowFile(Path(path)) for name, path in subject.rows.inputs.items()}
    for row in range(rows):
        yield {name: file[row] for name, file in files.items()}


def measure(work: Callable[[], TensorRanges]) -> tuple[Cost, TensorRanges]:
    """Do the work, and watch CPU time, wall time and resident size."""
    process = psutil.Process()
    base = process.memory_info().rss
    peak, done = [base], threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLING_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    wall, cpu = time.perf_counter(), _cpu_s()
    found = work()
    cost = Cost(_cpu_s() - cpu, time.perf_counter() - wall, peak[0] - base)
    done.set()
    watcher.join()
    return cost, found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run_float(subject: Subject, rows: int) -> TensorRanges:
    """Run the model alone: the bound of every calibration."""
    predict = open_predict(subject.model.path, threads=1)
    for inputs in feeds(subject, rows):
        predict(inputs)
    return TensorRanges("bound", {})


def run_theirs(subject: Subject, rows: int, method: str) -> TensorRanges:
    """Calibrate with onnxruntime's own calibrators, as its ``quantize_static`` does."""
    methods = {
        "minmax": (CalibrationMethod.MinMax, {}),
        "percentile": (CalibrationMethod.Percentile, {"percentile": 99.99}),
        "entropy": (CalibrationMethod.Entropy, {}),
    }
    calibration_method, options = methods[method]
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            Path(subject.model.path),
            sorted(QDQ_OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=calibration_method,
            extra_options=options,
        )
        calibrator.collect_data(Reader(subject, rows))
        data = calibrator.compute_data().data
    edges = find_qdq_edges(load_proto(Path(subject.model.path)).graph)
    ranges = {
        name: TensorRange(
            min(0.0, np.asarray(data[leader].range_value[0]).item()),
            max(0.0, np.asarray(data[leader].range_value[1]).item()),
        )
        for name, leader in edges.leaders.items()
    }
    return TensorRanges(f"ort-{method}", ranges, subject.model.sha256)


def run_ours(subject: Subject, method: str, stride: int) -> TensorRanges:
    """Calibrate with onnxq's stage, no cache, two worker threads."""
    with tempfile.TemporaryDirectory() as folder:
        request = CalibrateRequest(
            model=subject.model,
            rows=CalibrationSet(subject.rows),
            asked=(RangesAsked(recipe=StaticQdq(ranges=parse_method(method))),),
            threads=_THREADS,
            stride=stride,
        )
        (path,) = calibrate(request, Path(folder), tell_nobody).ranges.values()
        return msgspec.json.decode(Path(path).read_bytes(), type=TensorRanges)


def main() -> None:
    """Measure the cell that the command line names."""
    folder, name, way, count, destination = sys.argv[1:]
    rows = int(count)
    subject = make_subject(name, Path(folder), rows)
    maker, _, method = way.partition("-")
    if maker == "bound":
        cost, ranges = measure(lambda: run_float(subject, rows))
    elif maker == "ort":
        cost, ranges = measure(lambda: run_theirs(subject, rows, method))
    else:
        stride = 8 if maker == "sampled" else 1
        cost, ranges = measure(lambda: run_ours(subject, method, stride))
    Path(destination).write_bytes(msgspec.json.encode(ranges))
    sys.stdout.write(json.dumps(vars(cost)) + "\n")


if __name__ == "__main__":
    main()
