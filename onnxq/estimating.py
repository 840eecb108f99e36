"""The stage that finds out what a plan would cost: rows are counted, an ONNX model is run a little.

No framework is loaded. A function of the user's is not called: what it costs is not known.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from onnxq.arrays import Array
from onnxq.calibration.rehearsal import rehearse_calibration
from onnxq.datasets.forms import open_origin
from onnxq.datasets.origins import Opening
from onnxq.datasets.random_rows import draw_rows
from onnxq.datasets.specs import CodeSpec, parse_spec
from onnxq.datasets.splitting import choose_rows, split_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import LimitError, OnnxqError
from onnxq.events import Tell
from onnxq.graph.model_files import read_model
from onnxq.models import OnnxModel
from onnxq.profiling.environment import usable_cores
from onnxq.profiling.turns import peak_bytes
from onnxq.runtime import open_predict
from onnxq.sources import InputDeclaration
from onnxq.stages import EstimateRequest, EstimateResult, NoDataRequest

_RUNS = 3
_BATCH_ROWS = 32
_MOST_NS = 2_000_000_000
_UNKNOWN = -1
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class _Run:
    """What a row costs: wall time, and bytes of the inputs and outputs."""

    row_ns: int
    input_row_bytes: int
    output_row_bytes: int


def estimate(request: EstimateRequest, folder: Path, tell: Tell) -> EstimateResult:  # noqa: ARG001 - the signature of a stage
    """Count rows, and run random rows a few times where the model is ONNX already.

    Args:
        request: The model and the data.
        folder: Where copies of the model lie in the meantime.
        tell: Not told anything.

    Returns:
        What was found; -1 stands for what cannot be told before.

    Raises:
        DatasetError: If data cannot be read.
        LimitError: If the cap on memory is too small to calibrate.
        SourceError: If the model cannot be read.
    """
    judged, calibrated = _count_parts(request)
    if not request.model:
        return EstimateResult(evaluation_rows=judged, calibration_rows=calibrated)
    model = read_model(Path(request.model))
    file_bytes = sum(Path(path).stat().st_size for path in (model.path, *model.side_files))
    known = EstimateResult(
        evaluation_rows=judged, calibration_rows=calibrated, file_bytes=file_bytes
    )
    try:
        run = _run_a_little(request, model)
    except OnnxqError as error:
        return replace(known, not_timed=error.message)
    known = replace(
        known,
        row_ns=run.row_ns,
        peak_bytes=peak_bytes(),
        input_row_bytes=run.input_row_bytes,
        output_row_bytes=run.output_row_bytes,
    )
    return _with_calibration(known, request, model, folder) if request.asked else known


def _with_calibration(
    known: EstimateResult, request: EstimateRequest, model: OnnxModel, folder: Path
) -> EstimateResult:
    """Add what calibrating would cost; a model that is prepared first is taken as it is."""
    batch_rows = model.signature.fixed_batch_rows or 1
    try:
        found = rehearse_calibration(
            Path(model.path),
            request.asked,
            _draw(model, request.declared, batch_rows, np.random.default_rng(0)),
            folder,
            run_seconds=known.row_ns * batch_rows / _NS_PER_S,
            memory_bytes=request.memory_bytes,
            threads=request.threads,
        )
    except LimitError:
        raise
    except OnnxqError as error:
        return replace(known, not_calibrated=error.message)
    return replace(
        known,
        calibration_row_ns=int(found.run_seconds * _NS_PER_S) // batch_rows,
        calibration_peak_bytes=found.peak_bytes,
        calibration_passes=found.passes,
    )


def _draw(
    model: OnnxModel,
    declared: tuple[InputDeclaration, ...],
    rows: int,
    generator: np.random.Generator,
) -> dict[str, Array]:
    return {
        spec.name: draw_rows(spec, declared, rows, generator) for spec in model.signature.inputs
    }


def _count_parts(request: EstimateRequest) -> tuple[int, int]:
    """Return how many rows would be judged and calibrated on."""
    total = _count(request.data)
    others = _count(request.calibration)
    if isinstance(request.calibration, DataRequest) or not request.split or total < 0:
        return total, others if isinstance(request.calibration, DataRequest) else min(total, 0)
    for_ranges, for_judging = split_rows(total, 0, request.calibration_rows)
    return len(for_judging), len(for_ranges)


def _count(data: DataRequest | NoDataRequest) -> int:
    if not isinstance(data, DataRequest):
        return 0
    if isinstance(parse_spec(data.spec), CodeSpec):
        return _UNKNOWN
    arrays = open_origin(data, Opening()).arrays.values()
    total = max((array.count_rows for array in arrays), default=0)
    return len(choose_rows(total, data.limit_rows, data.seed))


def _run_a_little(request: EstimateRequest, model: OnnxModel) -> _Run:
    """Run the rows of one inference; where that is quick, as many as models are judged with."""
    signature = model.signature
    predict = open_predict(model.path, threads=usable_cores())
    generator = np.random.default_rng(0)

    def run(rows: int) -> _Run:
        inputs = _draw(model, request.declared, rows, generator)
        times = []
        for _ in range(_RUNS):
            start = time.perf_counter_ns()
            outputs = predict(inputs)
            times.append(time.perf_counter_ns() - start)
        return _Run(
            row_ns=min(times) // rows,
            input_row_bytes=_total_bytes(inputs) // rows,
            output_row_bytes=_total_bytes(outputs) // rows,
        )

    first = run(signature.fixed_batch_rows or 1)
    is_quick = first.row_ns * _BATCH_ROWS * _RUNS < _MOST_NS
    return run(_BATCH_ROWS) if is_quick and not signature.fixed_batch_rows else first


def _total_bytes(arrays: Mapping[str, Array]) -> int:
    return sum(array.nbytes for array in arrays.values())
