"""Operator times of two models, side by side: which float operator became which integer one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from onnxq.measurements import OperatorTime

_PREFIX = re.compile(r"^(QLinear|Nhwc|Fused|Q(?=[A-Z]))+")
_QUANTIZE = "Quantize/Dequantize"
_FAMILIES = {
    "QuantizeLinear": _QUANTIZE,
    "DequantizeLinear": _QUANTIZE,
    "DynamicQuantizeLinear": _QUANTIZE,
    "ConvInteger": "Conv",
    "Gemm": "MatMul",
    "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "DynamicQuantizeMatMul": "MatMul",
    "DynamicQuantizeLSTM": "LSTM",
    "ReorderInput": "Reorder",
    "ReorderOutput": "Reorder",
}


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """A family of operators in two models.

    Attributes:
        label: The names that occur: ``Conv / QLinearConv``.
        float_ns: Time per inference in the float model; 0 where it has none.
        other_ns: Time per inference in the other model; 0 where it has none.
    """

    label: str
    float_ns: float
    other_ns: float


def family_of(operator: str) -> str:
    """Return the float operator that an operator of an optimized graph stands for."""
    known = _FAMILIES.get(operator)
    if known is not None:
        return known
    bare = _PREFIX.sub("", operator) or operator
    return _FAMILIES.get(bare, bare)


def operator_rows(
    floats: Iterable[OperatorTime], others: Iterable[OperatorTime], most: int = 6
) -> tuple[OperatorRow, ...]:
    """Pair the operators of two models by family.

    Args:
        floats: Of the float model.
        others: Of the model beside it.
        most: Rows; the families with the least time are summed as ``other``.

    Returns:
        The rows, most time first, ``other`` last.
    """
    floats, others = tuple(floats), tuple(others)
    families = dict.fromkeys(family_of(time.operator) for time in (*floats, *others))
    rows = sorted(
        (_row(family, floats, others) for family in families),
        key=lambda row: -(row.float_ns + row.other_ns),
    )
    if len(rows) <= most:
        return tuple(rows)
    rest = OperatorRow(
        label="other",
        float_ns=sum(row.float_ns for row in rows[most - 1 :]),
        other_ns=sum(row.other_ns for row in rows[most - 1 :]),
    )
    return (*rows[: most - 1], rest)


def _row(
    family: str, floats: tuple[OperatorTime, ...], others: tuple[OperatorTime, ...]
) -> OperatorRow:
    left = [time for time in floats if family_of(time.operator) == family]
    right = [time for time in others if family_of(time.operator) == family]
    chief = [max(side, key=lambda time: time.ns).operator for side in (left, right) if side]
    label = family if family == _QUANTIZE else " / ".join(dict.fromkeys(chief))
    return OperatorRow(
        label=label,
        float_ns=sum(time.ns for time in left),
        other_ns=sum(time.ns for time in right),
    )
