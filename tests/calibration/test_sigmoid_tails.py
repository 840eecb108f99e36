import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.calibration.quantization_noise import LEVELS
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.sigmoid_tails import lowest_untied_top
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics, histogram
from onnxq.range_methods import Auto, MeanSquaredError, MinMax, Percentile
from onnxq.tensor_uses import TensorUse

SIGMOID = TensorUse(tail="sigmoid")


def collect(*rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def integers(values, found):
    scale = (found.high - found.low) / LEVELS
    zero_point = np.rint(-found.low / scale)
    return np.clip(np.rint(np.asarray(values, np.float64) / scale) + zero_point, 0, LEVELS)


def score_error(values, found):
    scale = (found.high - found.low) / LEVELS
    reals = (integers(values, found) - np.rint(-found.low / scale)) * scale
    sigmoid = (1 / (1 + np.exp(-one)) for one in (reals, np.asarray(values, np.float64)))
    return float(np.square(np.subtract(*sigmoid)).sum())


def detector_rows(rows=20, size=500, seed=0):
    """Return logits, mostly far below zero, with one large value in each row."""
    generator = np.random.default_rng(seed)
    found = generator.normal(-12, 4, (rows, size))
    found[:, 7] = generator.uniform(3, 9, rows)
    return found.astype(np.float32)


@pytest.mark.parametrize("method", [MeanSquaredError(), Auto(), Percentile(99.0)])
def test_what_a_sigmoid_reads_is_judged_behind_it(method):
    rows = detector_rows()
    found, whole = (choose_range(collect(*rows), one, SIGMOID) for one in (method, MinMax()))
    assert found.low > whole.low
    assert score_error(rows, found) < 0.5 * score_error(rows, whole)


def test_minmax_holds_everything_there_too():
    rows = detector_rows()
    found = choose_range(collect(*rows), MinMax(), SIGMOID)
    assert (found.low, found.high) == (rows.min(), rows.max())


def test_the_top_is_cut_off_where_no_row_has_two_values_there():
    rows = detector_rows()
    statistics = collect(*rows)
    bins = histogram(statistics, statistics.low, statistics.high)
    top = lowest_untied_top(statistics, bins)
    seconds = np.sort(rows, axis=1)[:, -2]
    assert seconds.max() < top < rows.max()
    assert choose_range(statistics, Auto(), SIGMOID).high >= top


def test_two_high_values_in_one_row_keep_the_top():
    rows = detector_rows()
    rows[3, 7:9] = rows.max()
    found = choose_range(collect(*rows), Auto(), SIGMOID)
    assert found.high == rows.max()


def test_of_sampled_counts_the_top_is_kept():
    rows = detector_rows()
    found = choose_range(collect(*rows), Auto(), SIGMOID, is_sampled=True)
    assert found.high == rows.max()


def test_int16_needs_no_cut():
    rows = detector_rows()
    found = choose_range(collect(*rows), Auto(), SIGMOID, activation="int16")
    assert found.high == -found.low == np.abs(rows).max()


@given(
    st.lists(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=6), min_size=1, max_size=6)
)
@settings(max_examples=80, deadline=None)
def test_a_cut_never_ties_the_highest_values_of_a_row(rows):
    statistics = collect(*rows)
    found = choose_range(statistics, Auto(), SIGMOID)
    assert found.low <= 0.0 <= found.high
    assert found.low >= min(0.0, statistics.low)
    assert found.high <= max(0.0, statistics.high)
    if 0.0 < found.high < statistics.high:
        scale = (found.high - found.low) / LEVELS
        for row in rows:
            assert np.sum(np.asarray(row) >= found.high - 0.499 * scale) <= 1
