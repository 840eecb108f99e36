"""What a profile says in words around its table."""

from onnxq.cli.cells import percent, plus_minus, ratio
from onnxq.cli.columns import clock_label
from onnxq.cli.profile_rows import ProfileRows
from onnxq.cli.report_words import (
    environment_text,
    preprocess_lines,
    rows_text,
    versions_text,
)
from onnxq.documents import NotProfiled, Profile, Profiled
from onnxq.measurements import TIE_HIGH, TIE_LOW
from onnxq.reports import Measured, NoData


def profile_header(profile: Profile) -> tuple[str, ...]:
    """Say what was run and where: versions, machine, rows."""
    batches = sorted(
        {
            latency.batch_rows
            for row in profile.rows
            if isinstance(row, Profiled)
            for latency in row.latencies
        }
    )
    batch = f" · batch {' and '.join(map(str, batches))}" if batches else ""
    return (
        versions_text(profile.onnxq, profile.environment),
        f"{environment_text(profile.environment)}{batch}",
        "no rows were given: outputs are not compared"
        if isinstance(profile.data, NoData)
        else rows_text(profile.data),
        *preprocess_lines(profile.data),
    )


def summary(rows: ProfileRows) -> str:
    """Say which model is fastest at the first thread count, as far as that can be told.

    Args:
        rows: The first of them is what the others are compared with.

    Returns:
        A sentence; empty where nothing was compared.
    """
    compared = [v for v in rows.variants if isinstance(v, Measured) and v.speed]
    if not compared:
        return ""
    best = max(compared, key=lambda variant: variant.speed[0].ratio.value)
    speed = best.speed[0]
    at = clock_label(speed)
    if speed.ratio.low > TIE_HIGH:
        times, error = ratio(speed.ratio.value), plus_minus(speed.ratio, 2)
        return f"{best.alias} is {times} faster than {rows.reference} ({at}, {error})."
    if all(variant.speed[0].ratio.high < TIE_LOW for variant in compared):
        return f"None is as fast as {rows.reference} ({at})."
    return f"None is clearly faster than {rows.reference} ({at})."


def remarks_of(rows: ProfileRows) -> dict[str, str]:
    """Say of each row what its figures do not: how it is quantized, what was left to another."""
    remarks = {}
    for name, row in rows.sources.items():
        if isinstance(row, NotProfiled):
            continue
        left = f"{percent(row.fallback_share, 0)}% of its nodes were run by cpu instead."
        said = [
            f"quantized: {row.quantized}." if row.quantized else "",
            left if row.fallback_share else "",
        ]
        remarks[name] = " ".join(filter(None, said))
    return remarks
