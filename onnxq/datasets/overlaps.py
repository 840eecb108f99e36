"""Rows that are calibrated on and judged on as well: told by what the model is fed.

Rows are compared as they were stored: preprocessed, cast, in the model's layout. So a photo counts
as the same under another name, and an array in another dtype. A row is what all inputs are fed
together: the same image with another question is another row. Rows that merely look alike are not
found: there is no bound on what a model makes of a small difference.
"""

import json
from pathlib import Path

from onnxq.datasets.storing import StoredPart
from onnxq.findings import Finding
from onnxq.wording import count_noun


def describe_overlap(
    calibration: StoredPart, evaluation: StoredPart, titles: tuple[str, str], *, is_split: bool
) -> tuple[Finding, ...]:
    """Say how many rows are in both parts, and name the first of them on both sides.

    Args:
        calibration: Rows to calibrate on.
        evaluation: Rows to judge on.
        titles: What the two come from.
        is_split: Whether one was split off the other.

    Returns:
        One OQ141, or nothing.
    """
    judged: dict[bytes, int] = {}
    for row, digest in enumerate(evaluation.digests):
        judged.setdefault(digest, row)
    shared = [row for row, digest in enumerate(calibration.digests) if digest in judged]
    if not shared:
        return ()
    known = {calibration.digests[row] for row in shared}
    flattered = sum(digest in known for digest in evaluation.digests)
    first, twin = shared[0], judged[calibration.digests[shared[0]]]
    named = _row_name(calibration, first), _row_name(evaluation, twin)
    counted = f"{len(shared)} of {count_noun(len(calibration.digests), 'calibration row')}"
    are, more = ("is", "") if len(shared) == 1 else ("are", ", and so on")
    return (
        Finding(
            code="OQ141",
            subject=titles[0],
            message=(
                f"{counted} {are} among the {len(evaluation.digests)} evaluation rows: "
                f"{_same(named, titles, is_split=is_split)}{more}."
            ),
            evidence={
                "shared_rows": len(shared),
                "calibration_rows": len(calibration.digests),
                "evaluation_rows": flattered,
                "calibration_row": named[0],
                "evaluation_row": named[1],
            },
            fix=_fix(titles[0], is_split=is_split, is_all=len(shared) == len(calibration.digests)),
            severity="warning",
        ),
    )


def _same(named: tuple[str, str], titles: tuple[str, str], *, is_split: bool) -> str:
    if is_split:
        return f"{titles[0]} holds {named[0]} and {named[1]}, which are the same"
    return f"{named[0]} of {titles[0]} is {named[1]} of {titles[1]}"


def _fix(title: str, *, is_split: bool, is_all: bool) -> str:
    if is_split:
        return f"Drop the rows that {title} holds more than once: they flatter all models."
    if is_all:
        return "Leave --calib out: rows of --data are then set aside, and not judged on."
    return "Calibrate on other rows: these flatter the quantized models."


def _row_name(part: StoredPart, row: int) -> str:
    names: list[str] = json.loads(Path(part.rows.row_names).read_bytes())
    return f"row {names[row]}" if names[row].isdecimal() else names[row]
