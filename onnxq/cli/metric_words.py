"""How a metric is named and scaled where a person reads it."""

from dataclasses import dataclass

from onnxq.estimates import Estimate
from onnxq.measurements import Accuracy

TOP1 = "top1"


@dataclass(frozen=True, kw_only=True)
class MetricWords:
    """How to write a metric.

    Attributes:
        name: For the head of a column.
        unit: Of a difference: ``pp``, or the metric's own name.
        scale: What a value is multiplied by before it is shown.
        digits: Decimals of values and differences.
    """

    name: str
    unit: str
    scale: float
    digits: int


def words_for(accuracy: Accuracy) -> MetricWords:
    """Choose how to write a metric: rates in per cent and percentage points."""
    if accuracy.metric == TOP1:
        return MetricWords(name="top-1 %", unit="pp", scale=100.0, digits=2)
    size = abs(accuracy.value.value)
    digits = next((d for d, bound in ((1, 100), (2, 10), (3, 1)) if size >= bound), 4)
    return MetricWords(name=accuracy.metric, unit=accuracy.metric, scale=1.0, digits=digits)


def change_of(accuracy: Accuracy) -> Estimate:
    """Return the metric's own change against fp32, scaled: negative is less, not worse."""
    drop, scale = accuracy.drop, words_for(accuracy).scale
    ends = (scale * drop.low, scale * drop.high)
    if accuracy.higher_is_better:
        return Estimate(-scale * drop.value, -ends[1], -ends[0], drop.n, drop.method)
    return Estimate(scale * drop.value, *ends, drop.n, drop.method)
