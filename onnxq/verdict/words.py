"""The words of a verdict: ASCII, so that every terminal shows them.

Ends of intervals are rounded outward: what is written never claims more than was measured.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from onnxq.measurements import Accuracy, Agreement, NoClasses, SpeedRatio
from onnxq.metric_choices import own_unit, parse_metric, spoken_name
from onnxq.reports import Limits, Measured
from onnxq.wording import count_noun, share_words

_FINE_RATIO = 1.2
_SAME_SIZE = 1.05
_NARROW_PP = 0.2
_MOST_DIGITS = 3


def ratio_words(ratio: float) -> str:
    """Return ``2.0x``, with two decimals where one would hide the difference to 1."""
    return f"{ratio:.2f}x" if ratio < _FINE_RATIO else f"{ratio:.1f}x"


def pace_words(speed: SpeedRatio, threshold: float) -> str:
    """Return how a candidate stands beside fp32: ``2.0x faster``, ``tied``, ``1.6x slower``.

    ``not known (0.4x to 3x)`` where the interval is too wide for any of these.

    Args:
        speed: The ratio to fp32.
        threshold: What the lower end must exceed to count as fast.
    """
    value = speed.ratio.value
    if speed.ratio.low > threshold:
        return f"{ratio_words(value)} faster"
    if speed.is_unknown:
        return f"not known ({speed.ratio.low:.2g}x to {speed.ratio.high:.2g}x)"
    if speed.is_tie:
        return "tied"
    if value < 1:
        return f"{ratio_words(1 / value)} slower"
    return f"{ratio_words(value)} faster (not shown to be above {threshold:g}x)"


def faster_words(candidate: Measured) -> str:
    """Return ``2.0x faster``, at the first thread count."""
    return f"{ratio_words(candidate.speed[0].ratio.value)} faster"


def speed_detail(candidate: Measured) -> str:
    """Return what was timed, at each thread count, as one sentence."""
    first, *more = candidate.speed
    batch_rows = next(iter({latency.batch_rows for latency in candidate.latencies}), 1)
    setting = f"({count_noun(first.threads, 'thread')}, batch {batch_rows})"
    words = [f"{_less(first)} per inference {setting}"]
    for speed in more:
        clock, value = "CPU" if speed.clock == "cpu" else "wall", speed.ratio.value
        ratio = f"{ratio_words(value)} in {clock} time" if value >= 1 else _less(speed)
        words.append(f"{ratio} at {count_noun(speed.threads, 'thread')}")
    return f"{'; '.join(words)}."


def size_words(candidate_bytes: int, reference_bytes: int) -> str:
    """Return ``3.9x smaller``, ``1.3x larger`` or ``of the same size``."""
    if not candidate_bytes or not reference_bytes:
        return "of unknown size"
    ratio = reference_bytes / candidate_bytes
    if 1 / _SAME_SIZE < ratio < _SAME_SIZE:
        return "of the same size"
    return f"{ratio_words(ratio)} smaller" if ratio > 1 else f"{ratio_words(1 / ratio)} larger"


def bytes_words(count: int) -> str:
    """Return ``11.8 MB``, of 10**6 bytes, or ``11.8 kB`` where that is less than one."""
    return f"{count / 1e6:.1f} MB" if count >= 10**6 else f"{count / 1e3:.1f} kB"


def confidence_words(confidence: float) -> str:
    """Return ``95 % interval``."""
    return f"{100 * confidence:.4g} % interval"


def interval_words(accuracy: Accuracy, low: float, high: float, limits: Limits) -> str:
    """Return ``-0.5 to +0.3``: the metric's change, of which ``low`` and ``high`` bound the drop.

    Args:
        accuracy: What the interval is about.
        low: Least drop.
        high: Largest drop.
        limits: Its digits are the least that are shown.
    """
    ends = (-high, -low) if accuracy.higher_is_better else (low, high)
    unit, digits = _scale(accuracy, low, high, limits)
    least = _signed(_rounded(unit * ends[0], digits, ROUND_FLOOR), digits)
    return f"{least} to {_signed(_rounded(unit * ends[1], digits, ROUND_CEILING), digits)}"


def change_words(accuracy: Accuracy, limits: Limits) -> str:
    """Return ``top-1 -0.1 pp (95 % interval -0.5 to +0.3)``."""
    drop = accuracy.drop
    unit, digits = _scale(accuracy, drop.low, drop.high, limits)
    change = unit * (-drop.value if accuracy.higher_is_better else drop.value)
    shown = _signed(Decimal(repr(round(change, digits))), digits)
    told_in = {"pp": " pp", "db": " dB"}.get(_unit(accuracy), "")
    interval = interval_words(accuracy, drop.low, drop.high, limits)
    return f"{metric_words(accuracy)} {shown}{told_in} (95 % interval {interval})"


def metric_words(accuracy: Accuracy) -> str:
    """Return ``top-1``, ``mse``, or the name of a user's function."""
    return spoken_name(parse_metric(accuracy.metric))


def limit_words(accuracy: Accuracy, limits: Limits) -> str:
    """Return ``your 1 pp limit`` or ``the default 1 pp limit``."""
    whose = "your" if limits.max_drop_given else "the default"
    unit = _unit(accuracy)
    if unit == "pp":
        return f"{whose} {100 * limits.max_drop:g} pp limit"
    return f"{whose} limit of {_plain(limits.max_drop)} {'dB' if unit == 'db' else unit}"


def limit_option(accuracy: Accuracy, max_drop: float) -> str:
    """Return the option that sets a limit, rounded up: ``--max-drop 1.4pp``."""
    if accuracy.scale == "rate":
        return f"--max-drop {_rounded(100 * max_drop, 1, ROUND_CEILING)}pp"
    digits = 1 - math.floor(math.log10(max_drop)) if max_drop > 0 else 1
    return f"--max-drop {_rounded(max_drop, digits, ROUND_CEILING):f}{_unit(accuracy)}"


def among_words(count: int) -> str:
    """Return ``corrected for choosing among 2 candidates``."""
    return f"corrected for choosing among {count} candidates"


def agreement_words(agreement: Agreement) -> str:
    """Return how near a candidate is to fp32, where there are no labels."""
    same = agreement.same_top1
    if not isinstance(same, NoClasses):
        return f"it names fp32's first class on {share_words(same.value)} % of {same.n} rows"
    if not agreement.outputs:
        return f"its outputs could not be compared on {agreement.rows} rows"
    worst = min(output.sqnr_db for output in agreement.outputs)
    return f"its SQNR against fp32 is {worst:.1f} dB on {agreement.rows} rows"


def about(count: int) -> str:
    """Return a count rounded up to two digits: ``2600``."""
    step = 10 ** max(0, len(str(count)) - 2)
    return str(-(-count // step) * step)


def _unit(accuracy: Accuracy) -> str:
    """Return what a drop is written in: ``pp`` of a rate, else the metric's own unit."""
    return "pp" if accuracy.scale == "rate" else own_unit(parse_metric(accuracy.metric))


def _less(speed: SpeedRatio) -> str:
    """Return ``2.0x less CPU``, or ``1.6x more CPU`` where the candidate is the slower one."""
    clock, value = "CPU" if speed.clock == "cpu" else "wall time", speed.ratio.value
    if value >= 1:
        return f"{ratio_words(value)} less {clock}"
    return f"{ratio_words(1 / value)} more {clock}"


def _scale(accuracy: Accuracy, low: float, high: float, limits: Limits) -> tuple[float, int]:
    """Return what a drop is multiplied by to be shown, and with how many decimals."""
    if accuracy.scale != "rate":
        width = max(high - low, abs(high), abs(low))
        return 1.0, 1 - math.floor(math.log10(width)) if width > 0 else 1
    limit = 100 * limits.max_drop
    wide = 100 * (high - low) >= _NARROW_PP
    # Rounded outward, an end just inside the limit would seem to touch it.
    clear = (100 * high <= limit) == (_rounded(100 * high, 1, ROUND_CEILING) < Decimal(limit))
    digits = 1 if wide and clear else 2
    while digits < _MOST_DIGITS and not math.isclose(round(limit, digits), limit, abs_tol=1e-9):
        digits += 1
    return 100.0, digits


def _rounded(value: float, digits: int, direction: str) -> Decimal:
    """Round outward, but not for the sake of a binary fraction's last digits."""
    near = Decimal(repr(round(value, digits + 9)))
    return near.quantize(Decimal(1).scaleb(-digits), rounding=direction)


def _signed(value: Decimal, digits: int) -> str:
    return f"{value:+.{max(digits, 0)}f}" if value else f"{0:.{max(digits, 0)}f}"


def _plain(value: float) -> str:
    return f"{Decimal(repr(value)):f}"
