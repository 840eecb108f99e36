"""Whether there are rows enough for ranges: a handful, or copies of one row, show little."""

from onnxq.calibration.collected_statistics import CollectedStatistics
from onnxq.findings import Finding
from onnxq.wording import count_noun

FEW_ROWS = 10
"""With fewer rows than this, ranges are those of these rows rather than of the data."""

_SUBJECT = "rows"
_FIX = "Calibrate on a few hundred rows that are like those in use."


def describe_few_rows(collected: CollectedStatistics) -> tuple[Finding, ...]:
    """Say that ranges rest on few rows, or on rows that are all alike.

    Rows count as alike where each tensor has the same least and the same greatest value on all
    of them: copies of a row, which the kernels that run them cannot tell apart.

    Args:
        collected: Statistics of all rows.

    Returns:
        One OQ140, or nothing.
    """
    used = collected.runs_seen & ~collected.runs_left_out
    runs = int(used.sum())
    rows = min(runs * collected.identity.batch_rows, collected.given_rows)
    if not (rows and collected.tensors):
        return ()
    ends = [
        ends[used] for one in collected.tensors.values() for ends in (one.row_lows, one.row_highs)
    ]
    if runs > 1 and all((values == values[0]).all() for values in ends):
        return (_finding(f"All {rows} calibration rows look the same to the model.", rows, 1),)
    if rows < FEW_ROWS:
        said = f"The ranges rest on {count_noun(rows, 'row')}; values beyond theirs are clipped."
        return (_finding(said, rows, rows),)
    return ()


def _finding(message: str, rows: int, different: int) -> Finding:
    return Finding(
        code="OQ140",
        subject=_SUBJECT,
        message=message,
        evidence={"rows": rows, "different_rows": different},
        fix=_FIX,
        severity="warning",
    )
