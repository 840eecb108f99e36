"""A limit on the drop meets the metric that the rows gave: do their units agree?"""

from typing import NoReturn

from msgspec.structs import replace

from onnxq.errors import UsageError
from onnxq.measurements import Accuracy
from onnxq.metric_choices import own_unit, parse_metric
from onnxq.options import PERCENTS
from onnxq.reports import LimitName, Limits


def fit_limits(limits: Limits, accuracy: Accuracy) -> Limits:
    """Check the unit of the largest acceptable drop, and take it into the metric's own.

    Args:
        limits: What the user demands.
        accuracy: Of the float model.

    Returns:
        The limits; ``2%`` of an error, such as mse, became 2 % of the float model's value.

    Raises:
        UsageError: If the drop is written for another metric.
    """
    asked, unit = limits.max_drop_metric, own_unit(parse_metric(accuracy.metric))
    if asked in {"", unit}:
        return limits
    if asked not in PERCENTS:
        _refuse(asked, accuracy, unit)
    if accuracy.scale in {"rate", "share"}:
        return limits
    if asked == "pp" or accuracy.higher_is_better or accuracy.value.value <= 0:
        _refuse(asked, accuracy, unit)
    return replace(limits, max_drop=limits.max_drop * accuracy.value.value, max_drop_metric=unit)


def has_limit(accuracy: Accuracy, limits: Limits) -> bool:
    """Return whether a drop is held against a limit: a rate has a default one.

    Args:
        accuracy: Of any model.
        limits: What the user demands.
    """
    return limits.max_drop_given or accuracy.scale == "rate"


def given_limits(limits: Limits) -> tuple[LimitName, ...]:
    """Name the limits that the user gave."""
    given: dict[LimitName, bool] = {
        "max_drop": limits.max_drop_given,
        "min_speedup": limits.min_speedup_given,
        "max_size": limits.max_size_bytes > 0,
    }
    return tuple(name for name, is_given in given.items() if is_given)


def broken_limits(limits: Limits, *broken: LimitName) -> tuple[LimitName, ...]:
    """Name the limits that are broken, of those that the user gave."""
    return tuple(name for name in given_limits(limits) if name in broken)


def _refuse(asked: str, accuracy: Accuracy, unit: str) -> NoReturn:
    message = f"--max-drop is written in {asked}, and these rows are judged by {accuracy.metric}."
    written = "1pp" if accuracy.scale == "rate" else f"0.01{unit}"
    raise UsageError(message, code="OQ100", hint=f"Write it as  --max-drop {written}")
