"""Options that are more than a word."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.calibrations import WHOLE, Shard
from onnxq.errors import UsageError
from onnxq.metric_choices import parse_metric
from onnxq.options import (
    CalibrationRows,
    check_histogram_sample,
    drop_metric,
    parse_calib_rows,
    parse_map,
    parse_max_drop,
    parse_max_memory,
    parse_min_speedup,
    parse_shard,
    parse_size_bytes,
)


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("1pp", 0.01),
        ("1%", 0.01),
        ("0.01", 0.01),
        (" 0.5 pp ", 0.005),
        ("0", 0.0),
        ("100pp", 1.0),
        (".2", 0.2),
        ("3.5mse", 3.5),
    ],
)
def test_a_drop_is_a_fraction_however_it_is_written(text, drop):
    assert parse_max_drop(text) == pytest.approx(drop)


@pytest.mark.parametrize(
    "text", ["", "pp", "1 point", "-1pp", "nan", "inf", "1e-2", "101pp", "1,5pp", "\u0661pp"]
)
def test_what_is_not_a_drop_is_refused_with_the_way_to_write_one(text):
    with pytest.raises(UsageError, match="--max-drop") as caught:
        parse_max_drop(text)
    assert caught.value.code == "OQ100"
    assert "1pp" in caught.value.hint


def test_a_bare_one_is_not_taken_for_a_hundred_percentage_points():
    with pytest.raises(UsageError, match="100 percentage points"):
        parse_max_drop("1")


@pytest.mark.parametrize(
    ("metric", "text", "drop"),
    [
        ("top5", "1pp", 0.01),
        ("f1", "0.02f1", 0.02),
        ("f1-macro", "2pp", 0.02),
        ("auroc", "0.01auroc", 0.01),
        ("psnr-255", "0.5dB", 0.5),
        ("psnr", "1", 1.0),
        ("mae", "3", 3.0),
        ("rmse", "2%", 0.02),
        ("perplexity", "150%", 1.5),
        ("m:dice", "0.1dice", 0.1),
        ("m:dice", "1pp", 0.01),
    ],
)
def test_a_drop_may_have_the_unit_of_its_metric(metric, text, drop):
    assert parse_max_drop(text, parse_metric(metric)) == pytest.approx(drop)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("", "0.01auroc"),
        ("", "0.5db"),
        ("top1", "0.3mse"),
        ("auroc", "0.01f1"),
        ("psnr", "1pp"),
        ("r2", "1%"),
        ("mse", "1pp"),
        ("auroc", "1"),
        ("m:dice", "1"),
        ("m:dice", "0.1iou"),
    ],
)
def test_a_drop_of_another_metric_is_refused_at_once(metric, text):
    with pytest.raises(UsageError, match="--max-drop") as caught:
        parse_max_drop(text, parse_metric(metric))
    assert caught.value.hint


@pytest.mark.parametrize("text", ["1.5", "1.5x", "1.5X", "1.5\u00d7", " 1.5 x"])
def test_a_speed_up_may_carry_its_x(text):
    assert parse_min_speedup(text) == 1.5


@pytest.mark.parametrize("text", ["", "x", "0.9", "fast", "-2x", "9" * 400])
def test_what_is_no_speed_up_is_refused(text):
    with pytest.raises(UsageError, match="--min-speedup"):
        parse_min_speedup(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("20MB", 20_000_000),
        ("20MiB", 20 * 2**20),
        ("500kB", 500_000),
        ("500KB", 500_000),
        ("1.5GB", 1_500_000_000),
        ("20B", 20),
        ("123 B", 123),
        ("1.9B", 1),
    ],
)
def test_sizes_are_decimal_unless_they_say_otherwise(text, size_bytes):
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "20mb", "20Mb", "20TB", "0B", "0.4B", "-1MB", "1 0MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="--max-size"):
        parse_size_bytes(text)


@pytest.mark.parametrize("text", ["20", "0.5", "20000000"])
def test_a_size_without_a_unit_is_refused_with_the_units(text):
    with pytest.raises(UsageError, match="a unit") as caught:
        parse_size_bytes(text)
    assert all(size in caught.value.hint for size in ("20MB", "500kB", "1GiB", "20B"))


@given(st.integers(min_value=1, max_value=10**15))
def test_whole_bytes_come_back(size_bytes):
    assert parse_size_bytes(f"{size_bytes}B") == size_bytes


@given(st.floats(min_value=0, max_value=100, allow_nan=False))
def test_every_share_of_percentage_points_is_that_share_of_one(points):
    assert math.isclose(parse_max_drop(f"{points:.6f}pp"), points / 100, abs_tol=1e-8)


@given(st.text())
def test_no_text_gets_past_the_parsers_as_another_error(text):
    for parse in (
        parse_max_drop,
        parse_min_speedup,
        parse_size_bytes,
        parse_max_memory,
        parse_calib_rows,
        parse_shard,
    ):
        with contextlib.suppress(UsageError):
            parse(text)
    with contextlib.suppress(UsageError):
        parse_map([text])


def test_a_map_names_input_and_array():
    assert parse_map([" x = images "]) == {"x": "images"}
    assert parse_map(["x=a=b"]) == {"x": "a=b"}


@pytest.mark.parametrize("text", ["", "x", "x=", "=images", "="])
def test_half_a_map_is_refused(text):
    with pytest.raises(UsageError, match="--map"):
        parse_map([text])


def test_an_input_is_mapped_once():
    assert parse_map(["x=a", "y=b", "x=a"]) == {"x": "a", "y": "b"}
    with pytest.raises(UsageError, match="twice"):
        parse_map(["x=a", "x=b"])


@pytest.mark.parametrize(
    ("text", "metric"),
    [("1pp", "pp"), ("1 %", "%"), ("0.3mse", "mse"), ("2 dB", "db"), ("0.01", ""), ("", "")],
)
def test_a_drop_names_its_metric(text, metric):
    assert drop_metric(text) == metric


# Calibration.


@pytest.mark.parametrize(
    ("text", "memory_bytes"),
    [("", 0), ("2GB", 2 * 10**9), ("500 MB", 500_000_000), ("1GiB", 2**30), ("1MB", 10**6)],
)
def test_memory_has_a_unit_and_none_leaves_the_choice(text, memory_bytes):
    assert parse_max_memory(text) == memory_bytes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "a unit, such as 2GB"),
        ("2gb", "a size such as 2GB"),
        ("-2GB", "a size such as 2GB"),
        ("half", "a size such as 2GB"),
        ("20B", "at least 1MB"),
        ("0.9MB", "at least 1MB"),
        (f"{'9' * 400}GB", "a finite number"),
    ],
)
def test_what_is_no_memory_is_refused_with_the_way_to_write_it(text, said):
    with pytest.raises(UsageError, match="--max-memory") as caught:
        parse_max_memory(text)
    assert caught.value.code == "OQ100"
    assert said in caught.value.message
    assert "--max-memory 2GB" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", CalibrationRows()),
        ("256", CalibrationRows(most=256)),
        (" 1 ", CalibrationRows(most=1)),
        ("auto", CalibrationRows(stop_early=True)),
    ],
)
def test_rows_are_a_number_or_as_many_as_it_takes(text, rows):
    assert parse_calib_rows(text) == rows


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "all", "Auto", "256 rows", "1e3", "\u0661"])
def test_what_is_no_number_of_rows_is_refused(text):
    with pytest.raises(UsageError, match="--calib-rows") as caught:
        parse_calib_rows(text)
    assert caught.value.code == "OQ100"
    assert "--calib-rows 256" in caught.value.hint
    assert "--calib-rows auto" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("", WHOLE),
        ("1/1", WHOLE),
        ("2/4", Shard(number=2, total=4)),
        (" 4 / 4 ", Shard(number=4, total=4)),
    ],
)
def test_a_shard_is_one_of_several_parts(text, shard):
    assert parse_shard(text) == shard


@pytest.mark.parametrize(
    "text", ["2", "2/", "/4", "0/4", "5/4", "2/0", "0/0", "-1/4", "2 of 4", "1/2/3", "\u0661/2"]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match="--shard") as caught:
        parse_shard(text)
    assert caught.value.code == "OQ100"
    assert "--shard 2/4" in caught.value.hint


@given(st.integers(min_value=1, max_value=10**6), st.integers(min_value=0, max_value=10**6))
def test_every_part_can_be_written(number, more):
    shard = Shard(number=number, total=number + more)
    assert parse_shard(f"{shard.number}/{shard.total}") == shard


@pytest.mark.parametrize("stride", [0, -8])
def test_a_stride_counts_something(stride):
    check_histogram_sample(1)
    check_histogram_sample(8)
    with pytest.raises(UsageError, match="--histogram-sample") as caught:
        check_histogram_sample(stride)
    assert "--histogram-sample 8" in caught.value.hint
