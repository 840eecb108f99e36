"""The stage that finds out what a plan would cost: rows are counted, an ONNX model is run a little.

No framework is loaded. A function of the user's is not called: what it costs is not known.
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from onnxq.arrays import Array
from onnxq.calibration.effort import resident_bytes, watch_effort
from onnxq.calibration.rehearsal import rehearse_calibration
from onnxq.datasets.forms import open_origin
from onnxq.datasets.loading import load_probe_rows
from onnxq.datasets.origins import Opening
from onnxq.datasets.random_rows import check_declared, draw_rows
from onnxq.datasets.specs import CodeSpec, parse_spec
from onnxq.datasets.splitting import choose_rows, split_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import LimitError, OnnxqError
from onnxq.events import Tell
from onnxq.graph.model_files import load_proto, read_model
from onnxq.graph.quantized_sources import check_repairable, describe_quantization
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.models import OnnxModel
from onnxq.profiling.environment import usable_cores
from onnxq.runtime import open_predict
from onnxq.scope_checks import check_scopes
from onnxq.sources import InputDeclaration
from onnxq.stages import EstimateRequest, EstimateResult, NoDataRequest

_RUNS = 3
_BATCH_ROWS = 32
_LOADED_ROWS = (2, 8)
_MOST_NS = 2_000_000_000
_UNKNOWN = -1
_NS_PER_S = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class _Run:
    """What a row costs: wall time, and bytes of the inputs and outputs; and the process's peak."""

    row_ns: int
    peak_bytes: int
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
        RecipeError: OQ164, if a scope speaks of nodes that the model does not have.
        SourceError: If the model cannot be read, or would be repaired and cannot be (OQ175).
    """
    judged, calibrated = _count_parts(request)
    if not request.model:
        return EstimateResult(evaluation_rows=judged, calibration_rows=calibrated)
    model = read_model(Path(request.model))
    proto = inline_functions(load_proto(request.model)).proto
    if request.repaired:
        check_repairable(proto, request.repaired)
    file_bytes = sum(Path(path).stat().st_size for path in (model.path, *model.side_files))
    known = EstimateResult(
        evaluation_rows=judged,
        calibration_rows=calibrated,
        file_bytes=file_bytes,
        quantized_already=describe_quantization(proto),
    )
    if request.asked:  # before the model is run: see rehearse_calibration
        known = _with_calibration(known, request, model, folder)
        check_scopes(model, (asked.scope for asked in request.asked), folder)
    try:
        run = _run_a_little(request, model, _judging_rows(model, judged))
    except OnnxqError as error:
        return replace(known, not_timed=error.message, not_calibrated="")
    return replace(
        known,
        row_ns=run.row_ns,
        peak_bytes=run.peak_bytes,
        input_row_bytes=run.input_row_bytes,
        output_row_bytes=run.output_row_bytes,
        loading_row_ns=_time_loading(request, model),
    )


def _with_calibration(
    known: EstimateResult, request: EstimateRequest, model: OnnxModel, folder: Path
) -> EstimateResult:
    """Add what calibrating would cost; a model that is prepared first is taken as it is."""
    batch_rows = model.signature.fixed_batch_rows or 1
    try:
        found = rehearse_calibration(
            Path(model.path),
            request,
            _draw(model, request.declared, batch_rows, np.random.default_rng(0)),
            folder,
            runs=max(known.calibration_rows, 0) // batch_rows,
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
        calibration_opening_ns=int(found.opening_seconds * _NS_PER_S),
    )


def _draw(
    model: OnnxModel,
    declared: tuple[InputDeclaration, ...],
    rows: int,
    generator: np.random.Generator,
) -> dict[str, Array]:
    check_declared(model.signature.inputs, declared)
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


def _judging_rows(model: OnnxModel, judged: int) -> int:
    """Return how many rows a model is judged with at a time; 1 where it is not."""
    most = judged if judged >= 0 else _BATCH_ROWS
    return model.signature.fixed_batch_rows or max(1, min(_BATCH_ROWS, most))


def _run_a_little(request: EstimateRequest, model: OnnxModel, rows: int) -> _Run:
    """Run so many rows a few times; where that takes long, one, from which the rest is told."""
    generator = np.random.default_rng(0)
    with watch_effort(0) as read_effort:
        predict = open_predict(model.path, threads=usable_cores())
        opened_bytes = resident_bytes()

        def run(rows: int) -> _Run:
            inputs = _draw(model, request.declared, rows, generator)
            times = []
            for _ in range(_RUNS):
                start = time.perf_counter_ns()
                outputs = predict(inputs)
                times.append(time.perf_counter_ns() - start)
            return _Run(
                row_ns=min(times) // rows,
                peak_bytes=read_effort().peak_bytes,
                input_row_bytes=_total_bytes(inputs) // rows,
                output_row_bytes=_total_bytes(outputs) // rows,
            )

        one = run(model.signature.fixed_batch_rows or 1)
        if rows == (model.signature.fixed_batch_rows or 1):
            return one
        if one.row_ns * rows * _RUNS < _MOST_NS:
            return run(rows)
    run_bytes = max(0, one.peak_bytes - opened_bytes)
    return dataclasses.replace(one, peak_bytes=opened_bytes + rows * run_bytes)


def _time_loading(request: EstimateRequest, model: OnnxModel) -> int:
    """Return the nanoseconds that loading a row takes beside storing it; 0 for unknown.

    What is wrong with the rows is told in earnest, by the stage that loads them.
    """
    data = request.data if isinstance(request.data, DataRequest) else request.calibration
    if not isinstance(data, DataRequest) or isinstance(parse_spec(data.spec), CodeSpec):
        return 0
    ends = []
    try:
        for rows in _LOADED_ROWS:
            start = time.perf_counter_ns()
            load_probe_rows(data, model.signature, count_rows=rows, declared=request.declared)
            ends.append(time.perf_counter_ns() - start)
    except OnnxqError:
        return 0
    few, many = _LOADED_ROWS
    return max(1, (ends[1] - ends[0]) // (many - few))


def _total_bytes(arrays: Mapping[str, Array]) -> int:
    return sum(array.nbytes for array in arrays.values())
