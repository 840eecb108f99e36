"""What is odd about the tensors that calibration saw, told as findings that name tensor and row."""

import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from onnxq.calibration.outliers import PROPORTION_RATIO, Outliers, find_outliers
from onnxq.calibration.statistics import TensorStatistics
from onnxq.findings import Finding
from onnxq.ranges import LEAST_WIDTH
from onnxq.wording import count_noun, listed_rows

_SHOWN_NODES = 3


def describe_tensor(
    tensor: str,
    statistics: TensorStatistics,
    row_names: Sequence[str],
    readers: Sequence[str] = (),
    maker: str = "NODE",
) -> tuple[Finding, ...]:
    """Say what is odd about a tensor, naming the rows that show it.

    Args:
        tensor: Its name.
        statistics: Of all rows.
        row_names: A name for each row.
        readers: Names of the nodes that take it.
        maker: Name of the node that makes it.

    Returns:
        OQ144 for outliers, OQ145 for a constant, OQ149 for values too small to have a scale.
    """
    if not statistics.count:
        return ()
    findings: list[Finding] = []
    remedy = _keep_float(readers, maker)
    outliers = find_outliers(statistics)
    if outliers.kind != "none":
        findings.append(_outlier_finding(tensor, statistics, outliers, row_names, remedy))
    if statistics.low == statistics.high:
        findings.append(_constant_finding(tensor, statistics))
    elif max(outliers.high, 0.0) - min(outliers.low, 0.0) < LEAST_WIDTH:
        findings.append(_tiny_finding(tensor, statistics, row_names, remedy))
    return tuple(findings)


def describe_non_finite(
    statistics: Mapping[str, TensorStatistics], row_names: Sequence[str]
) -> tuple[Finding, ...]:
    """Say which rows were left out, naming the first tensor that is not finite on the first row.

    Args:
        statistics: By tensor, in the order of the graph, so that the first is where it begins.
        row_names: A name for each row.

    Returns:
        One OQ143, or nothing.
    """
    by_tensor = {name: one.row_non_finite for name, one in statistics.items() if one.non_finite}
    if not by_tensor:
        return ()
    rows = np.flatnonzero(np.sum(list(by_tensor.values()), axis=0)).tolist()
    tensor = next(name for name, counts in by_tensor.items() if counts[rows[0]])
    row = row_names[rows[0]]
    finding = Finding(
        code="OQ143",
        subject=tensor,
        message=(
            f"It is the first activation that is NaN or infinite in row {row}. "
            f"{_left_out([row_names[one] for one in rows])}, because "
            f"{_some_activations(len(by_tensor))} such values there."
        ),
        evidence={
            "tensor": tensor,
            "row": row,
            "rows": len(rows),
            "tensors": len(by_tensor),
            "values": sum(one.non_finite for one in statistics.values()),
        },
        fix=f"Look at row {row}: what is wrong with it, or with the model's arithmetic on it?",
        severity="warning",
    )
    return (finding,)


def _outlier_finding(
    tensor: str,
    statistics: TensorStatistics,
    outliers: Outliers,
    row_names: Sequence[str],
    remedy: str,
) -> Finding:
    which = list(outliers.rows)
    named = listed_rows([row_names[row] for row in which])
    lowest, highest = statistics.row_lows[which].min(), statistics.row_highs[which].max()
    value = float(lowest if abs(lowest) > abs(highest) else highest)
    beyond = f"more than {PROPORTION_RATIO} times its median magnitude"
    what = {
        "mask": "which looks like a mask, and was left out of the range",
        "stray": f"{beyond} and far from all other rows: left out of the range",
    }.get(outliers.kind, f"{beyond}, so most of the range is hardly used")
    return Finding(
        code="OQ144",
        subject=tensor,
        message=f"It reaches {value:.3g} in {named}, {what}.",
        evidence={
            "tensor": tensor,
            "row": row_names[which[0]],
            "rows": len(which),
            "value": value,
            "median": outliers.median,
            "kind": outliers.kind,
        },
        fix=f"Look at {named}; if the values are right, {remedy}",
        severity="warning",
    )


def _constant_finding(tensor: str, statistics: TensorStatistics) -> Finding:
    return Finding(
        code="OQ145",
        subject=tensor,
        message=f"It is {statistics.low:.6g} everywhere on {_count_all(statistics)}.",
        evidence={"tensor": tensor, "value": statistics.low, "rows": _rows_of(statistics)},
        fix="Check that the calibration rows are what the model sees in use.",
        severity="warning",
    )


def _tiny_finding(
    tensor: str, statistics: TensorStatistics, row_names: Sequence[str], remedy: str
) -> Finding:
    largest = np.maximum(np.abs(statistics.row_lows), np.abs(statistics.row_highs))
    first = int(np.argmax(np.where(statistics.row_folded, largest, -1.0)))
    row, value = row_names[first], float(largest[first])
    return Finding(
        code="OQ149",
        subject=tensor,
        message=(
            f"It reaches no more than {value:.3g} (in row {row}), which is too small for a "
            "scale in float32; its values count as zero."
        ),
        evidence={
            "tensor": tensor,
            "row": row,
            "rows": _rows_of(statistics),
            "value": value,
            "least_width": LEAST_WIDTH,
        },
        fix=f"Scale it up in the model, or {remedy}",
        severity="warning",
    )


def _rows_of(statistics: TensorStatistics) -> int:
    return int(np.count_nonzero(statistics.row_folded))


def _count_all(statistics: TensorStatistics) -> str:
    rows = _rows_of(statistics)
    return "the one calibration row" if rows == 1 else f"all {rows} calibration rows"


def _left_out(names: Sequence[str]) -> str:
    named = listed_rows(names)
    return f"R{named[1:]} {'is' if len(names) == 1 else 'are'} left out of all ranges"


def _some_activations(count: int) -> str:
    return f"{count_noun(count, 'activation')} {'has' if count == 1 else 'have'}"


def _keep_float(readers: Sequence[str], maker: str) -> str:
    """Say how the nodes that take a tensor are left in float: the option wants their names."""
    if not readers:
        return f"leave what makes it in float:  --keep-float {shlex.quote(maker)}"
    more = len(readers) - _SHOWN_NODES
    options = " ".join(f"--keep-float {shlex.quote(name)}" for name in readers[:_SHOWN_NODES])
    others = f" and so for {count_noun(more, 'more node')}" if more > 0 else ""
    return f"leave what takes it in float:  {options}{others}"
