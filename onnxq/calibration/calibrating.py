"""The stage that calibrates: rows run through the float model once; every method reads the result.

::

    rows ──> gather_statistics ──┐
                                 ├──> TensorStatistics ──> choose_range ──> TensorRanges per recipe
    parts ──> merge_statistics ──┘
"""

import time
from functools import partial
from pathlib import Path

import msgspec

from onnxq.calibration.choosing import RangeChooser, find_wanted
from onnxq.calibration.collected_statistics import CollectedStatistics
from onnxq.calibration.collection import open_collection
from onnxq.calibration.concats import SettledEdges, describe_settled
from onnxq.calibration.gathering import Gathered, gather_statistics, merge_statistics
from onnxq.calibration.influence import describe_influence
from onnxq.calibration.looking import Gathering
from onnxq.calibration.oddities import describe_non_finite, describe_tensor
from onnxq.calibration.statistics_files import write_statistics_file
from onnxq.calibrations import WHOLE
from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.graph.known_edges import KnownEdges
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import check_scope
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors
from onnxq.ranges import TensorRanges, write_ranges
from onnxq.stages import CalibrateRequest, CalibrateResult, StatisticsParts


def calibrate(request: CalibrateRequest, folder: Path, tell: Tell) -> CalibrateResult:
    """Run rows through a prepared model and choose a range for each activation.

    Args:
        request: Model, rows, recipes, options. The result does not depend on the order of the
            rows, on threads, passes or interruptions, bit for bit.
        folder: Where ranges are written, ``ranges-<key>.json`` each, and the statistics.
        tell: Is told how many runs are done.

    Returns:
        The files' paths and what was noticed. A model in which nothing can be quantized gets
        empty ranges.

    Raises:
        DatasetError: If rows or statistics cannot be read.
        InferenceError: If the model fails on a row; the row is named.
        LimitError: If the cap on memory is too low.
        QuantizationError: If activations are not finite on any row.
        RecipeError: OQ164, if a scope speaks of nodes that the model does not have.
        UsageError: If statistics do not belong together, or to the model.
    """
    begun = time.perf_counter()
    proto = load_proto(request.model.path)
    wanted = find_wanted(request)
    for asked in wanted.values():
        check_scope(proto, asked.scope)
    chooser = RangeChooser(KnownEdges(proto.graph), wanted, is_sampled=request.stride > 1)
    gathering = Gathering(
        request=request,
        tensors=chooser.observed,
        open_collection=partial(
            open_collection,
            proto,
            chooser.observed,
            folder=folder,
            memory_bytes=request.memory_bytes,
            threads=request.threads,
            stride=request.stride,
        ),
        choose=chooser.choose_all,
        tell=tell,
        begun=begun,
    )
    gathered = _gather(gathering)
    statistics = folder / "statistics"
    write_statistics_file(statistics, gathered.collected)
    settled = _settle(chooser, request, gathered.collected)
    effort = msgspec.structs.replace(gathered.effort, seconds=time.perf_counter() - begun)
    return CalibrateResult(
        ranges={
            key: write_ranges(_ranges_of(key, one, request), folder) for key, one in settled.items()
        },
        statistics=str(statistics),
        effort=effort,
        findings=(
            *gathered.findings,
            *_describe(gathered.collected, trace_tensors(proto.graph)),
            *describe_settled(settled.values()),
        ),
    )


def _gather(gathering: Gathering) -> Gathered:
    rows = gathering.request.rows
    if isinstance(rows, StatisticsParts):
        return merge_statistics(gathering, rows)
    return gather_statistics(gathering, rows.rows)


def _settle(
    chooser: RangeChooser, request: CalibrateRequest, collected: CollectedStatistics
) -> dict[str, SettledEdges]:
    """Choose ranges, unless the rows are but a part of all."""
    if request.shard != WHOLE:
        return {}
    for name, one in collected.tensors.items():
        if not one.count and one.non_finite:
            message = f"activation {name} has no values: no calibration row gives finite ones."
            hint = "Check the preprocessing (--preprocess), and the model on one row: onnxq inspect"
            raise QuantizationError(message, code="OQ143", hint=hint)
    return chooser.settle(collected.tensors)


def _ranges_of(key: str, settled: SettledEdges, request: CalibrateRequest) -> TensorRanges:
    return TensorRanges(
        method=key,
        ranges=settled.ranges,
        model_sha256=request.model.sha256,
        kept_float=settled.kept_float,
    )


def _describe(collected: CollectedStatistics, flow: TensorFlow) -> tuple[Finding, ...]:
    statistics, names = collected.tensors, collected.row_names
    makers = {name: node.name for name, node in flow.producers.items()}
    oddities = (
        describe_tensor(
            tensor,
            one,
            names,
            [node.name for node in flow.read_by(tensor)],
            makers.get(tensor, "NODE"),
        )
        for tensor, one in statistics.items()
    )
    return (
        *describe_non_finite(statistics, names),
        *(finding for found in oddities for finding in found),
        *describe_influence(statistics, names),
    )
