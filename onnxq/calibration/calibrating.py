"""The stage that calibrates: rows run through the float model once; every method reads the result.

::

    rows ──> collect_statistics ──> TensorStatistics (once, or from the cache)
                                        │
    TensorRanges per recipe <── choose_range
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from onnxq.calibration.collecting import Collecting, NamedRuns, collect_statistics
from onnxq.calibration.edges import open_exposed
from onnxq.calibration.feeds import Feeds, open_feeds
from onnxq.calibration.outliers import describe_non_finite, describe_tensor
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import TensorStatistics
from onnxq.calibrations import CalibrationEffort
from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.graph.model_files import load_proto
from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import QuantizationScope, RangeMethod, StaticQdq, ranges_key
from onnxq.stages import CalibrateRequest, CalibrateResult, RangesAsked, StatisticsParts


@dataclass(frozen=True)
class _Wanted:
    """A recipe, and the edges of the graph on its scope."""

    recipe: StaticQdq
    edges: QdqEdges


def calibrate(request: CalibrateRequest, folder: Path, tell: Tell) -> CalibrateResult:
    """Run rows through a prepared model and choose a range for each activation.

    Args:
        request: Model, rows, methods, threads. The result does not depend on the order of the
            rows or on the number of threads, bit for bit.
        folder: Where ranges are written, ``ranges-<key>.json`` each.
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
    wanted = _wanted(request, partial(find_qdq_edges, proto.graph))
    tensors = _collected(wanted)
    rows = _open_rows(request)
    statistics = collect_statistics(
        partial(open_exposed, proto, folder),
        rows,
        Collecting(passes=(tensors,) if tensors else (), threads=request.threads),
        chosen=range(len(rows.feeds)),
        start={},
        keep=lambda _: None,
        tell=tell,
    )
    return CalibrateResult(
        ranges={
            ranges.method: _write_ranges(ranges, folder)
            for ranges in _choose(request, wanted, statistics)
        },
        statistics="",
        effort=CalibrationEffort(
            origin="computed",
            rows=rows.feeds.count_rows - rows.feeds.dropped_rows,
            given_rows=rows.feeds.count_rows,
            tensors=len(tensors),
        ),
        findings=(*_drop_findings(rows.feeds), *_describe(statistics, rows.names)),
    )


def _wanted(
    request: CalibrateRequest, find_edges: Callable[[QuantizationScope], QdqEdges]
) -> dict[str, _Wanted]:
    """Find the edges of each recipe on its scope, those of equal keys once."""
    asked = (*map(_plain, request.methods), *request.asked)
    by_key = {ranges_key(one.recipe, one.scope): one for one in asked}
    edges: dict[QuantizationScope, QdqEdges] = {}
    for one in by_key.values():
        if one.scope not in edges:
            edges[one.scope] = find_edges(one.scope)
    return {key: _Wanted(one.recipe, edges[one.scope]) for key, one in by_key.items()}


def _plain(method: RangeMethod) -> RangesAsked:
    return RangesAsked(recipe=StaticQdq(ranges=method))


def _collected(wanted: dict[str, _Wanted]) -> tuple[str, ...]:
    """Unite the activations that must be seen, in the order of the graph but for scopes' own."""
    return tuple(dict.fromkeys(name for one in wanted.values() for name in one.edges.collected))


def _open_rows(request: CalibrateRequest) -> NamedRuns:
    """Open the rows; with a free batch every run takes one row, so that rows can be told apart."""
    if isinstance(request.rows, StatisticsParts):
        message = "rows"
        raise TypeError(message)
    stored = request.rows.rows
    feeds = open_feeds(stored, request.model.signature.fixed_batch_rows or 1)
    row_names = msgspec.json.decode(Path(stored.row_names).read_bytes(), type=list[str])
    names = tuple(
        " … ".join(dict.fromkeys(row_names[rows[end]] for end in (0, -1)))
        for rows in map(feeds.rows_of, range(len(feeds)))
    )
    return NamedRuns(feeds, names)


def _choose(
    request: CalibrateRequest, wanted: dict[str, _Wanted], statistics: dict[str, TensorStatistics]
) -> Iterator[TensorRanges]:
    for name, one in statistics.items():
        if not one.count:
            message = f"activation {name} has no values: no calibration row gives finite ones."
            hint = "Check the preprocessing (--preprocess), and the model on one row: onnxq inspect"
            raise QuantizationError(message, code="OQ143", hint=hint)
    for key, asked in wanted.items():
        edges = asked.edges
        chosen = {
            name: choose_range(
                statistics[name],
                edges.methods.get(name, asked.recipe.ranges),
                may_clip=name not in edges.unclipped,
                activation=asked.recipe.activation,
            )
            for name in edges.collected
        } | edges.fixed
        ranges = {name: chosen[leader] for name, leader in sorted(edges.leaders.items())}
        yield TensorRanges(method=key, ranges=ranges, model_sha256=request.model.sha256)


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
