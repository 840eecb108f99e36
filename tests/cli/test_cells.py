"""Numbers as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.cli.cells import (
    decimals_for,
    duration,
    half_width,
    interval_text,
    plus_minus,
    ratio_with_error,
    signed,
    size_text,
    size_unit,
)
from onnxq.cli.metric_words import change_of, words_for
from onnxq.estimates import Estimate
from onnxq.measurements import Accuracy

MINUS = "\u2212"
TIMES = "\u00d7"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "+0.10"), (-0.1, f"{MINUS}0.10"), (0.0, "0.00"), (-0.0, "0.00"), (-0.001, "0.00")],
)
def test_a_sign_stands_where_there_is_something_to_sign(value, text):
    assert signed(value, 2) == text


def test_an_interval():
    assert interval_text(-1.56, 0.1, 2) == f"[{MINUS}1.56, +0.10]"


def test_intervals_are_rounded_outward():
    assert interval_text(-0.631, 0.311, 2) == f"[{MINUS}0.64, +0.32]"
    assert interval_text(0.121, 0.3, 1) == "[+0.1, +0.3]"
    assert plus_minus(Estimate(0.5, 0.499, 0.5004, 9, "t"), 2) == "±0.01"
    assert plus_minus(Estimate(0.5, 0.4, 0.6, 9, "t"), 2) == "±0.10"


@given(st.floats(0, 10), st.floats(0, 10))
def test_plus_minus_never_understates(below, above):
    estimate = Estimate(5.0, 5.0 - below, 5.0 + above, 10, "x")
    half = half_width(estimate)
    assert 5.0 - half <= estimate.low + 1e-9
    assert estimate.high <= 5.0 + half + 1e-9


def test_ratios():
    assert ratio_with_error(Estimate(2.314, 2.27, 2.36, 9, "t")) == f"2.31{TIMES} ±0.05"
    assert ratio_with_error(Estimate(12.34, 12.1, 12.6, 9, "t")) == f"12.3{TIMES} ±0.3"


@pytest.mark.parametrize(
    ("values", "decimals"), [([1234], 0), ([120], 1), ([24.1, 0.1], 2), ([0.3], 3), ([], 3)]
)
def test_a_column_has_about_three_digits(values, decimals):
    assert decimals_for(values) == decimals


def test_one_unit_for_all_sizes():
    assert size_unit([999_999, 10]) == ("kB", 1000)
    assert size_unit([1_000_000, 10]) == ("MB", 1_000_000)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(32, "32 B"), (5880, "5.9 kB"), (146_100, "146 kB"), (11_800_000, "11.8 MB"), (0, "0 B")],
)
def test_sizes(size_bytes, text):
    assert size_text(size_bytes) == text


def test_durations():
    assert duration(3.21) == "3.2 s"
    assert duration(125) == "2 min 05 s"


def accuracy(metric, drop, *, higher, scale="own"):
    return Accuracy(
        metric=metric,
        higher_is_better=higher,
        value=Estimate(0.5, 0.4, 0.6, 100, "x"),
        drop=drop,
        discordant_rows=3,
        scale=scale,
    )


def test_a_drop_is_shown_as_the_change_of_the_metric():
    drop = Estimate(0.01, -0.002, 0.03, 100, "tango")
    moved = change_of(accuracy("top1", drop, higher=True, scale="rate"))
    assert (moved.value, moved.low, moved.high) == pytest.approx((-1, -3, 0.2))
    grown = change_of(accuracy("mse", drop, higher=False))
    assert (grown.value, grown.low, grown.high) == pytest.approx((0.01, -0.002, 0.03))


def test_rates_are_in_percentage_points_and_others_in_their_own_unit():
    drop = Estimate(0.0, 0.0, 0.0, 1, "x")
    assert words_for(accuracy("top1", drop, higher=True, scale="rate")).unit == "pp"
    assert words_for(accuracy("mse", drop, higher=False)).unit == "mse"
    psnr = words_for(accuracy("psnr-255", drop, higher=True))
    assert (psnr.name, psnr.unit) == ("psnr dB", "dB")
    dice = words_for(accuracy("a/long/path/to/metrics.py:dice", drop, higher=True))
    assert (dice.name, dice.unit) == ("dice", "dice")
    f1 = words_for(accuracy("f1-macro", drop, higher=True, scale="share"))
    assert (f1.name, f1.unit, f1.scale, f1.digits) == ("f1-macro", "f1", 1.0, 4)
    long = words_for(accuracy(f"m:{'x' * 40}", drop, higher=True))
    assert len(long.name) == len(long.unit) == 16
