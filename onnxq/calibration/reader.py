"""Rows as onnxruntime's calibrators want them.

onnxq does not calibrate through this reader: it has statistics of its own. The reader is for
those who call ``onnxruntime.quantization.quantize_static`` themselves.
"""

import os
from collections.abc import Collection, Mapping, Sequence

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
from onnxruntime.quantization import CalibrationDataReader

from onnxq.arrays import Array
from onnxq.calibration.feeds import Feeds, open_feeds
from onnxq.datasets.values import StoredRows
from onnxq.errors import UsageError
from onnxq.wording import with_article


class CalibrationReader(CalibrationDataReader):  # type: ignore[misc]  # untyped base
    """Feeds rows to a calibrator of onnxruntime, run by run.

    Works with ``quantize_static`` as it is, ``CalibStridedMinMax`` included::

        reader = CalibrationReader({"x": np.load("rows.npy", mmap_mode="r")})
        quantize_static("model.onnx", "model.int8.onnx", reader)

    It can be read again: iterating starts over, and so does :meth:`rewind`. Rows are read when
    their turn comes, so memory-mapped arrays stay on disk.

    Args:
        rows: Rows by input name, or rows that onnxq stored. Rows of one shape are an array whose
            axis 0 is rows; rows that differ in shape (sequences, images of several sizes) are a
            list of arrays, and go into one run only with rows of their shape.
        batch_rows: Rows a run: the model's batch where it is fixed. The rows of a last, partial
            batch are left out (``dropped_rows`` counts them); fewer rows of a shape than one
            batch are repeated to fill it (``repeated_rows``).
        whole: Inputs without a batch axis, such as scalars: a row of theirs is all that a run is
            fed. Rows that onnxq stored know theirs.

    Raises:
        DatasetError: If there are no rows, inputs have different numbers of them, or rows of an
            input differ in dtype or number of axes.
        UsageError: OQ100, if it is not told which input rows are of, or they are no arrays.
        ValueError: If ``batch_rows`` is not positive.
    """

    def __init__(
        self,
        rows: Mapping[str, Array | Sequence[Array]] | StoredRows,
        *,
        batch_rows: int = 1,
        whole: Collection[str] = (),
    ) -> None:
        if isinstance(rows, StoredRows):
            self._feeds = open_feeds(rows, batch_rows)
        else:
            _check_rows(rows)
            self._feeds = Feeds(dict(rows), batch_rows, whole)
        self._runs = range(len(self._feeds))
        self._next = iter(self._runs)

    @property
    def dropped_rows(self) -> int:
        """Rows of last, partial batches, which are never fed."""
        return self._feeds.dropped_rows

    @property
    def repeated_rows(self) -> int:
        """How often a row is fed that was fed in the same run before, to fill it."""
        return self._feeds.repeated_rows

    def get_next(self) -> dict[str, Array] | None:
        """Return the inputs of the next run; None after the last, as onnxruntime asks for it."""
        return next((self._feeds[run] for run in self._next), None)

    def rewind(self) -> None:
        """Start over with the first run of the range."""
        self._next = iter(self._runs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Feed some of the runs only, from the first of them.

        Args:
            start_index: First run.
            end_index: The run after the last; beyond the end means the end.
        """
        self._runs = range(len(self._feeds))[start_index:end_index]
        self.rewind()

    def __len__(self) -> int:
        """Return the number of runs in all, whatever the range."""
        return len(self._feeds)

    def __iter__(self) -> "CalibrationReader":
        """Start over, and iterate over the inputs of each run."""
        self.rewind()
        return self


def _check_rows(rows: object) -> None:
    """Refuse what a caller without a type checker may take for rows by input name."""
    if not isinstance(rows, Mapping):
        message = f"rows: found {with_article(rows)}, expected rows by the name of their input."
        hint = 'Name the input that they are of: CalibrationReader({"x": rows})'
        raise UsageError(message, code="OQ100", hint=hint)
    for name, one in rows.items():
        is_list = isinstance(one, Sequence) and not isinstance(one, str | bytes)
        if not is_list and not (isinstance(one, np.ndarray) and one.ndim):
            message = f"rows of {name!r}: found {with_article(one)}, expected an array of rows."
            hint = f'Make it a numpy array whose axis 0 is rows: {{"{name}": np.asarray(rows)}}'
            raise UsageError(message, code="OQ100", hint=hint)
