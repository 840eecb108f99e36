"""The stage that looks whether evaluation rows stay within the ranges that calibration rows gave.

A sample of them runs through the float model, and each tensor is compared with its range and, where
they are known, with the statistics of the calibration rows. One finding tells the most telling
tensor; that the others are off as well follows from it as a rule.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxq.calibration.collecting import Collecting, Statistics, collect_statistics, keep_nothing
from onnxq.calibration.convergence import spread_order
from onnxq.calibration.departures import FAR_RATIO, Departure, find_departures
from onnxq.calibration.exposure import expose
from onnxq.calibration.noise_to_signal import ChosenRanges
from onnxq.calibration.runs import open_runs
from onnxq.calibration.statistics_files import read_statistics_file
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.graph.model_files import load_proto
from onnxq.graph.moved_inputs import find_moved_inputs
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.ranges import load_ranges
from onnxq.stages import CoverageRequest, CoverageResult
from onnxq.wording import count_noun

SAMPLE_ROWS = 64
"""Rows that are run, as long as that is 16 runs or more."""

_LEAST_RUNS = 16


def check_coverage(request: CoverageRequest, folder: Path, tell: Tell) -> CoverageResult:
    """Run a sample of evaluation rows, and compare what they do with the calibrated ranges.

    Args:
        request: Model, ranges, rows.
        folder: Where a copy of the model lies for a moment.
        tell: Is told how many runs are done.

    Returns:
        How many rows were run, and OQ142 where they take other values than calibration rows did.

    Raises:
        DatasetError: If rows or statistics cannot be read.
        InferenceError: If the model fails on a row; the row is named.
    """
    proto = load_proto(request.model.path)
    ranges = load_ranges(request.ranges).ranges
    edges = find_qdq_edges(proto.graph, request.scope)
    tensors = tuple(name for name in edges.observed if name in ranges)
    rows = open_runs(request.model, request.evaluation.rows)
    batch_rows = rows.feeds.batch_rows
    sampled = spread_order(len(rows.feeds), request.seed)[
        : max(_LEAST_RUNS, SAMPLE_ROWS // batch_rows)
    ]
    with expose(proto, folder, tensors) as open_exposed:
        seen = collect_statistics(
            open_exposed,
            rows,
            Collecting(passes=(tensors,) if tensors else (), threads=request.threads),
            chosen=sampled.tolist(),
            start={},
            keep=keep_nothing,
            tell=tell,
        ).statistics
    chosen = ChosenRanges({name: ranges[name] for name in tensors}, request.activation)
    departures = find_departures(seen, chosen, _calibration(request))
    count_rows = len(sampled) * batch_rows
    if not departures:
        return CoverageResult(rows=count_rows, findings=())
    inputs = find_moved_inputs(proto.graph)
    finding = _finding(departures, rows.names, (count_rows, len(tensors)), inputs)
    return CoverageResult(rows=count_rows, findings=(finding,))


def _calibration(request: CoverageRequest) -> Statistics:
    if not request.statistics:
        return {}
    return read_statistics_file(Path(request.statistics)).tensors


def _finding(
    departures: Sequence[Departure],
    names: Sequence[str],
    counts: tuple[int, int],
    inputs: Mapping[str, str],
) -> Finding:
    """Tell of the input that is off, if one is: others follow from it. Else of the worst."""
    rows, tensors = counts
    beyond = [one for one in departures if one.direction == "beyond"]
    told = max(
        beyond or departures,
        key=lambda one: (one.tensor in inputs, one.excess_db, abs(one.reach)),
    )
    row = names[told.row]
    evidence: dict[str, str | int | float] = {
        "tensor": told.tensor,
        "direction": told.direction,
        "row": row,
        "rows": told.rows,
        "rows_looked_at": rows,
        "tensors": len(departures),
        "tensors_looked_at": tensors,
        "reach": told.reach,
        "calibrated_reach": told.known_reach,
        "excess_db": told.excess_db,
    }
    return Finding(
        code="OQ142",
        subject=told.tensor,
        message=f"{_what(told, row)}{_how_much(told)} ({_how_many(departures, tensors, rows)}).",
        evidence=evidence,
        fix=_fix(told, row, rows, fed=inputs.get(told.tensor, "")),
        severity="warning",
    )


def _what(told: Departure, row: str) -> str:
    if told.direction == "beyond":
        return (
            f"{told.tensor} reaches {told.reach:.3g} in evaluation row {row}, and "
            f"{told.known_reach:.3g} on calibration rows: what lies beyond is cut off"
        )
    return (
        f"{told.tensor} reaches {told.known_reach:.3g} on calibration rows, and no more than "
        f"{told.reach:.3g} (row {row}) on evaluation rows: most steps of its range are not used"
    )


def _how_much(told: Departure) -> str:
    return f", {told.excess_db:.0f} dB more noise are expected" if told.excess_db else ""


def _how_many(departures: Sequence[Departure], tensors: int, rows: int) -> str:
    off = f"{len(departures)} of {count_noun(tensors, 'activation')}"
    return f"{off} off, of {count_noun(rows, 'row')} looked at"


def _fix(told: Departure, row: str, rows: int, *, fed: str) -> str:
    if told.direction == "beyond" and told.rows == 1 < rows:
        return f"Look at row {row}; if it is right, calibrate on rows like it as well."
    is_far = told.ratio >= FAR_RATIO or told.ratio * FAR_RATIO <= 1
    if fed and is_far:
        return (
            f"{fed} is fed on another scale: make the rows of --calib and --data alike, "
            "with the same --preprocess."
        )
    return "Calibrate on rows like those that models are judged on: other --calib, or none."
