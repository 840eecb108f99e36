"""The stage that finds out what a plan would cost: rows are counted, an ONNX model is run a little.

No framework is loaded. A function of the user's is not called: what it costs is not known.
"""

import time
from pathlib import Path

import numpy as np

from onnxq.datasets.forms import open_origin
from onnxq.datasets.origins import Opening
from onnxq.datasets.random_rows import draw_rows
from onnxq.datasets.specs import CodeSpec, parse_spec
from onnxq.datasets.splitting import choose_rows, split_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import OnnxqError
from onnxq.events import Tell
from onnxq.graph.model_files import read_model
from onnxq.profiling.turns import peak_bytes
from onnxq.runtime import open_predict
from onnxq.stages import EstimateRequest, EstimateResult, NoDataRequest

_RUNS = 3
_UNKNOWN = -1


def estimate(request: EstimateRequest, folder: Path, tell: Tell) -> EstimateResult:  # noqa: ARG001 - the signature of a stage
    """Count rows, and time a few inferences of random rows where the model is ONNX already.

    Args:
        request: The model and the data.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        What was found; -1 stands for what cannot be told before.

    Raises:
        DatasetError: If data cannot be read.
        SourceError: If the model cannot.
    """
    judged, calibrated = _count_parts(request)
    if not request.model:
        return EstimateResult(evaluation_rows=judged, calibration_rows=calibrated)
    model = read_model(Path(request.model))
    file_bytes = sum(Path(path).stat().st_size for path in (model.path, *model.side_files))
    try:
        row_ns = _time_row(request)
        why = ""
    except OnnxqError as error:
        row_ns, why = _UNKNOWN, error.message
    return EstimateResult(
        evaluation_rows=judged,
        calibration_rows=calibrated,
        file_bytes=file_bytes,
        row_ns=row_ns,
        peak_bytes=peak_bytes(),
        not_timed=why,
    )


def _count_parts(request: EstimateRequest) -> tuple[int, int]:
    """Return how many rows would be judged and calibrated on."""
    total = _count(request.data)
    others = _count(request.calibration)
    if isinstance(request.calibration, DataRequest) or not request.split or total < 0:
        return total, others if isinstance(request.calibration, DataRequest) else min(total, 0)
    for_ranges, for_judging = split_rows(total, 0)
    return len(for_judging), len(for_ranges)


def _count(data: DataRequest | NoDataRequest) -> int:
    if not isinstance(data, DataRequest):
        return 0
    if isinstance(parse_spec(data.spec), CodeSpec):
        return _UNKNOWN
    arrays = open_origin(data, Opening()).arrays.values()
    total = max((array.count_rows for array in arrays), default=0)
    return len(choose_rows(total, data.limit_rows, data.seed))


def _time_row(request: EstimateRequest) -> int:
    """Return the wall time of one row at one thread, the least of a few runs."""
    model = read_model(Path(request.model))
    rows = model.signature.fixed_batch_rows or 1
    generator = np.random.default_rng(0)
    inputs = {
        spec.name: draw_rows(spec, request.declared, rows, generator)
        for spec in model.signature.inputs
    }
    predict = open_predict(model.path)
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter_ns()
        predict(inputs)
        times.append(time.perf_counter_ns() - start)
    return min(times) // rows
