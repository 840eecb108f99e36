"""Stored rows become runs of a model, each with a name for a person."""

from pathlib import Path

import msgspec

from onnxq.calibration.collecting import NamedRuns
from onnxq.calibration.feeds import open_feeds
from onnxq.datasets.values import StoredRows
from onnxq.models import OnnxModel


def open_runs(model: OnnxModel, stored: StoredRows) -> NamedRuns:
    """Open rows for a model; with a free batch every run takes one row, so that rows differ.

    Args:
        model: What is run.
        stored: The rows.

    Returns:
        The runs; one of several rows is named by its first and its last row.

    Raises:
        DatasetError: If the rows cannot be read, or there are none.
    """
    feeds = open_feeds(stored, model.signature.fixed_batch_beside(stored.whole) or 1)
    row_names = msgspec.json.decode(Path(stored.row_names).read_bytes(), type=list[str])
    names = tuple(
        " … ".join(dict.fromkeys(row_names[rows[end]] for end in (0, -1)))
        for rows in map(feeds.rows_of, range(len(feeds)))
    )
    return NamedRuns(feeds, names)
