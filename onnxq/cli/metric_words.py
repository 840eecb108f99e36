"""How a metric is named and scaled where a person reads it."""

import math
from dataclasses import dataclass

from onnxq.cli.charset import ELLIPSIS, crop
from onnxq.estimates import Estimate
from onnxq.measurements import Accuracy
from onnxq.metric_choices import Psnr, own_unit, parse_metric, spoken_name

_LONGEST = 16
_MOST_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class MetricWords:
    """How to write a metric.

    Attributes:
        name: For the head of a column.
        unit: Of a difference: ``pp``, ``dB``, or the metric's own name.
        scale: What a value is multiplied by before it is shown.
        digits: Decimals of values and differences.
    """

    name: str
    unit: str
    scale: float
    digits: int


def words_for(accuracy: Accuracy) -> MetricWords:
    """Choose how to write a metric: rates in per cent and percentage points."""
    choice = parse_metric(accuracy.metric)
    name = crop(spoken_name(choice), _LONGEST, ELLIPSIS)
    if accuracy.scale == "rate":
        return MetricWords(name=f"{name} %", unit="pp", scale=100.0, digits=2)
    if isinstance(choice, Psnr):
        return MetricWords(name="psnr dB", unit="dB", scale=1.0, digits=2)
    digits = 4 if accuracy.scale == "share" else _digits(abs(accuracy.value.value))
    unit = crop(own_unit(choice), _LONGEST, ELLIPSIS)
    return MetricWords(name=name, unit=unit, scale=1.0, digits=digits)


def _digits(size: float) -> int:
    """Return the decimals that show about three digits, and 4 where there is nothing."""
    small = 4 if size <= 0 else min(max(4, 2 - math.floor(math.log10(size))), _MOST_DIGITS)
    return next((d for d, bound in ((1, 100), (2, 10), (3, 1)) if size >= bound), small)


def change_of(accuracy: Accuracy) -> Estimate:
    """Return the metric's own change against fp32, scaled: negative is less, not worse."""
    drop, scale = accuracy.drop, words_for(accuracy).scale
    ends = (scale * drop.low, scale * drop.high)
    if accuracy.higher_is_better:
        return Estimate(-scale * drop.value, -ends[1], -ends[0], drop.n, drop.method)
    return Estimate(scale * drop.value, *ends, drop.n, drop.method)
