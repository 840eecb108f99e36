"""What statistics are of, told before they are collected."""

from onnxq.calibration.collected_statistics import StatisticsIdentity
from onnxq.calibration.feeds import Feeds
from onnxq.calibrations import WHOLE, Shard
from onnxq.datasets.row_digests import rows_sha256
from onnxq.datasets.values import StoredRows
from onnxq.models import OnnxModel
from onnxq.runtime import RUNTIME_VERSION


def identify_statistics(
    model: OnnxModel, rows: StoredRows, feeds: Feeds, *, stride: int, stop_early: bool
) -> StatisticsIdentity:
    """Tell what statistics would be of; the rows are read once.

    Args:
        model: The prepared model.
        rows: What it is calibrated on.
        feeds: The same, as runs.
        stride: Every so-many-th value is counted.
        stop_early: Whether runs may be left out once more of them would hardly matter.

    Returns:
        The identity.

    Raises:
        DatasetError: OQ127, if a file of rows is damaged.
        OSError: If one cannot be read.
    """
    return StatisticsIdentity(
        model_sha256=model.sha256,
        rows_sha256=rows_sha256(rows),
        batch_rows=feeds.batch_rows,
        runs=len(feeds),
        stride=stride,
        onnxruntime=RUNTIME_VERSION,
        stop_early=stop_early,
    )


def cache_part(shard: Shard) -> str:
    """Return what keeps a shard apart in the cache: its file must hold its own runs alone."""
    return "" if shard == WHOLE else f"{shard.number}/{shard.total}"
