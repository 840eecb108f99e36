"""The stage that calibrates: rows run through the float model once; every method reads the result.

::

    rows ──> worker threads, one-thread runs of one session ──> StatisticsCollector per tensor
                                                                        │ (once)
    TensorRanges per method <── choose_range <── TensorStatistics <─────┘
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxq.arrays import Array, Predict
from onnxq.calibration.edges import write_exposed
from onnxq.calibration.feeds import Feeds, open_feeds
from onnxq.calibration.outliers import describe_non_finite, describe_tensor
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import StatisticsCollector, TensorStatistics, is_finite
from onnxq.errors import InferenceError, QuantizationError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph.model_files import load_proto
from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.ranges import TensorRanges
from onnxq.recipes import RangeMethod
from onnxq.runtime import open_predict
from onnxq.stages import CalibrateRequest, CalibrateResult

_STAGE = "calibrate"


@dataclass(frozen=True)
class _Rows:
    """The rows as runs, each with a name for a person."""

    feeds: Feeds
    names: tuple[str, ...]


def calibrate(request: CalibrateRequest, folder: Path, tell: Tell) -> CalibrateResult:
    """Run rows through a prepared model and choose a range for each activation.

    Args:
        request: Model, rows, methods, threads. The result does not depend on the order of the
            rows or on the number of threads, bit for bit.
        folder: Where ranges are written, ``ranges-<method>.json`` each.
        tell: Is told how many runs are done.

    Returns:
        The ranges' paths and what was noticed. A model in which nothing can be quantized gets
        empty ranges.

    Raises:
        DatasetError: If the rows cannot be read.
        InferenceError: If the model fails on a row; the row is named.
        QuantizationError: If activations are not finite on any row.
    """
    proto = load_proto(request.model.path)
    edges = find_qdq_edges(proto.graph)
    rows = _open_rows(request)
    exposed = folder / "exposed.onnx"
    write_exposed(proto, edges.collected, exposed)
    predict = open_predict(exposed, threads=1)
    statistics = collect_statistics(
        predict, edges.collected, rows.feeds, rows.names, threads=request.threads, tell=tell
    )
    exposed.unlink()
    return CalibrateResult(
        ranges={
            tag: _write_ranges(ranges, folder)
            for tag, ranges in _choose(request, edges, statistics).items()
        },
        tensors=len(edges.collected),
        rows=rows.feeds.count_rows - rows.feeds.dropped_rows,
        findings=(*_drop_findings(rows.feeds), *_describe(statistics, rows.names)),
    )


def collect_statistics(
    predict: Predict,
    tensors: Sequence[str],
    feeds: Feeds,
    names: Sequence[str],
    *,
    threads: int,
    tell: Tell,
) -> dict[str, TensorStatistics]:
    """Run rows through a model and keep what is needed of some tensors.

    A row on which any of the tensors is not finite is left out of all of them: what lies behind
    a NaN is not to be trusted even where it is finite again.

    Args:
        predict: Returns the tensors that are not inputs; may be called from several threads.
        tensors: Names of float32 tensors.
        feeds: The runs.
        names: A name for each run, for a person.
        threads: Runs at the same time.
        tell: Is told how many runs are done, from this thread.

    Returns:
        Statistics by tensor.

    Raises:
        InferenceError: If a run fails.
    """
    collectors = {name: StatisticsCollector(len(feeds)) for name in tensors}

    def fold(run: int) -> None:
        inputs = feeds[run]
        values = {**inputs, **_predict_row(predict, inputs, names[run])}
        is_sound = all(is_finite(values[name]) for name in tensors)
        for name, collector in collectors.items():
            (collector.fold if is_sound else collector.leave_out)(run, values[name])

    with ThreadPoolExecutor(threads) as pool:
        runs = [pool.submit(fold, run) for run in range(len(feeds))]
        try:
            for done, future in enumerate(as_completed(runs), start=1):
                future.result()
                tell(Progressed(stage=_STAGE, done=done, total=len(runs)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: collector.statistics() for name, collector in collectors.items()}


def _predict_row(predict: Predict, inputs: dict[str, Array], name: str) -> dict[str, Array]:
    try:
        return predict(inputs)
    except InferenceError as error:
        message = f"calibration stopped at {name}: {error.message}"
        raise InferenceError(message, code=error.code, hint=error.hint) from error


def _open_rows(request: CalibrateRequest) -> _Rows:
    """Open the rows; with a free batch every run takes one row, so that rows can be told apart."""
    stored = request.rows.rows
    feeds = open_feeds(stored, request.model.signature.fixed_batch_rows or 1)
    row_names = msgspec.json.decode(Path(stored.row_names).read_bytes(), type=list[str])
    names = tuple(
        " … ".join(dict.fromkeys(row_names[rows[end]] for end in (0, -1)))
        for rows in map(feeds.rows_of, range(len(feeds)))
    )
    return _Rows(feeds, names)


def _choose(
    request: CalibrateRequest, edges: QdqEdges, statistics: dict[str, TensorStatistics]
) -> dict[str, TensorRanges]:
    for name, one in statistics.items():
        if not one.count:
            message = f"activation {name} has no values: no calibration row gives finite ones."
            hint = "Check the preprocessing (--preprocess), and the model on one row: onnxq inspect"
            raise QuantizationError(message, code="OQ143", hint=hint)
    return {
        _tag(method): _choose_by(method, request.model.sha256, edges, statistics)
        for method in request.methods
    }


def _choose_by(
    method: RangeMethod, sha256: str, edges: QdqEdges, statistics: dict[str, TensorStatistics]
) -> TensorRanges:
    chosen = {
        name: choose_range(one, method, may_clip=name not in edges.unclipped)
        for name, one in statistics.items()
    }
    return TensorRanges(
        method=_tag(method),
        ranges={name: chosen[leader] for name, leader in sorted(edges.leaders.items())},
        model_sha256=sha256,
    )


def _tag(method: RangeMethod) -> str:
    return str(method.__struct_config__.tag)


def _write_ranges(ranges: TensorRanges, folder: Path) -> str:
    path = folder / f"ranges-{ranges.method}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ranges)))
    return str(path)


def _describe(statistics: dict[str, TensorStatistics], names: Sequence[str]) -> tuple[Finding, ...]:
    oddities = (describe_tensor(tensor, one, names) for tensor, one in statistics.items())
    return (*describe_non_finite(statistics, names), *(f for found in oddities for f in found))


def _drop_findings(feeds: Feeds) -> tuple[Finding, ...]:
    if not feeds.dropped_rows:
        return ()
    return (
        Finding(
            code="OQ153",
            subject="calibration",
            message=(
                f"{feeds.dropped_rows} of {feeds.count_rows} calibration rows were not used: "
                f"the model takes {feeds.batch_rows} rows at a time."
            ),
            evidence={"rows": feeds.count_rows, "dropped_rows": feeds.dropped_rows},
        ),
    )
