from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxq.calibration.statistics import (
    StatisticsCollector,
    bin_edges,
    bin_numbers,
    empty_statistics,
    histogram,
)

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROWS = st.lists(hnp.arrays(np.float32, st.integers(0, 20), elements=FINITE), min_size=1, max_size=6)


def collect(rows, chosen=None):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index in range(len(rows)) if chosen is None else chosen:
        collector.fold(index, rows[index])
    return collector.statistics()


def assert_same(one, other):
    for name in ("count", "zeros", "low", "high"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("counts", "row_seen", "row_lows", "row_highs", "row_non_finite"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(ROWS)
def test_equals_numpy_on_the_whole_buffer(rows):
    found = collect(rows)
    buffer = np.concatenate(rows)
    assert found.count == buffer.size
    assert found.zeros == int((np.abs(buffer) < 2.0**-133).sum())
    assert found.counts.sum() == buffer.size
    if buffer.size:
        assert (found.low, found.high) == (buffer.min(), buffer.max())
    for row, low, high in zip(rows, found.row_lows, found.row_highs, strict=True):
        assert (low, high) == ((row.min(), row.max()) if row.size else (np.inf, -np.inf))


@pytest.mark.parametrize("size", [100, 20_000])  # counted in place, and by a histogram of its own
def test_histogram_counts_equal_those_of_numpy(size):
    values = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    found = collect([values])
    high_halves = values.view(np.uint32) >> 16
    np.testing.assert_array_equal(found.counts, np.bincount(high_halves, minlength=1 << 16))
    bins = histogram(found, found.low, found.high)
    inner = np.append(bins.lows, bins.highs[-1])
    inner = inner[:-1][np.diff(inner) > 0]
    counted, _ = np.histogram(values.astype(np.float64), np.append(inner, np.inf))
    # NumPy closes bins below; ours are closed towards zero, which no drawn value but the
    # smallest, where the histogram begins, can tell apart.
    np.testing.assert_array_equal(counted, bins.weights)


@given(ROWS, st.randoms(use_true_random=False))
def test_merge_is_exact_in_any_order_and_grouping(rows, random):
    whole = collect(rows)
    parts = [collect(rows, [index]) for index in range(len(rows))]
    random.shuffle(parts)
    assert_same(reduce(lambda one, other: one.merge(other), parts), whole)
    while len(parts) > 1:
        at = random.randrange(len(parts) - 1)
        parts[at : at + 2] = [parts[at].merge(parts[at + 1])]
    assert_same(parts[0], whole)


def test_merging_statistics_of_other_data_is_refused():
    with pytest.raises(ValueError, match="rows differ: 1 and 2"):
        collect([np.ones(1, np.float32)]).merge(collect([np.ones(1, np.float32)] * 2))


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=FINITE))
def test_each_value_lies_in_its_bin(values):
    lows, highs = bin_edges(bin_numbers(values).astype(np.int64))
    assert (lows <= values).all()
    assert (values <= highs).all()


def test_bins_are_narrow():
    bins = np.arange(0x0080, 0x7F80)  # normal positive numbers
    lows, highs = bin_edges(bins)
    assert ((highs - lows) / lows).max() <= 1 / 128
    np.testing.assert_array_equal(highs[:-1], lows[1:])


def test_values_that_are_not_finite_are_counted_and_never_folded_in():
    collector = StatisticsCollector(empty_statistics(3))
    collector.fold(0, np.array([1.0, 2.0], np.float32))
    collector.fold(1, np.array([np.nan, np.inf, -np.inf, 9.0], np.float32))
    found = collector.statistics()
    assert (found.count, found.low, found.high) == (2, 1.0, 2.0)
    assert found.non_finite == 3
    assert found.row_non_finite.tolist() == [0, 3, 0]
    assert found.counts.sum() == 2


def test_views_in_any_memory_order_give_the_same_counts():
    values = np.random.default_rng(1).standard_normal((4, 5, 6)).astype(np.float32)
    assert_same(collect([values]), collect([np.ascontiguousarray(values.transpose(2, 0, 1))]))
    assert_same(collect([values.transpose(2, 0, 1)]), collect([values]))


def test_a_row_counts_once():
    one = collect([np.ones(1, np.float32)])
    with pytest.raises(ValueError, match="row 0 would count twice"):
        one.merge(one)
    collector = StatisticsCollector(one)
    assert collector.has_seen(0)
    with pytest.raises(ValueError, match="folded in before"):
        collector.fold(0, np.ones(1, np.float32))


@given(ROWS, st.data())
def test_folding_out_undoes_folding_in(rows, data):
    out = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    collector = StatisticsCollector(collect(rows))
    for index in out:
        collector.fold_out(index, rows[index])
        collector.fold_out(index, rows[index])  # once is enough
    found = collector.statistics()
    kept = collect([row if i not in out else row[:0] for i, row in enumerate(rows)])
    assert_same(found, kept)


def test_a_stride_samples_the_counts_and_leaves_the_extremes_exact():
    values = np.random.default_rng(2).standard_normal(100_003).astype(np.float32)
    collector = StatisticsCollector(empty_statistics(1), stride=7)
    collector.fold(0, values)
    found = collector.statistics()
    sampled = collect([values[::7]])
    np.testing.assert_array_equal(found.counts, 7 * sampled.counts)
    assert (found.low, found.high) == (values.min(), values.max())


@pytest.mark.parametrize("stride", [8, 10**9])
def test_small_arrays_are_counted_whole(stride):
    values = np.random.default_rng(4).standard_normal(8000).astype(np.float32)
    collector = StatisticsCollector(empty_statistics(1), stride=stride)
    collector.fold(0, values)
    assert_same(collector.statistics(), collect([values]))


def test_a_sampled_tensor_is_looked_at_in_every_column_and_channel():
    values = np.arange(1, 33, dtype=np.float32)[:, None, None] * np.ones((64, 64), np.float32)
    collector = StatisticsCollector(empty_statistics(1), stride=8)
    collector.fold(0, values.transpose(1, 2, 0))  # 32 channels innermost
    assert np.count_nonzero(collector.statistics().counts) == 32


def test_a_sampled_row_is_folded_out_as_it_was_folded_in():
    values = np.random.default_rng(3).standard_normal((40, 60, 80)).astype(np.float32)
    collector = StatisticsCollector(empty_statistics(1), stride=4)
    collector.fold(0, values)
    assert collector.statistics().count == pytest.approx(values.size, abs=8)
    collector.fold_out(0, values)
    assert not collector.statistics().counts.any()


def test_an_extreme_of_zero_has_no_sign():
    for zeros in ([0.0, -0.0], [-0.0, 0.0], [-0.0]):
        found = collect([np.array(zeros, np.float32)])
        assert not np.signbit([found.low, found.high]).any()


def test_threads_fold_to_the_bytes_that_one_folds_to():
    rows = np.random.default_rng(4).standard_normal((64, 3_000)).astype(np.float32)
    rows[5, 7] = np.nan
    collector = StatisticsCollector(empty_statistics(len(rows)))
    with ThreadPoolExecutor(8) as pool:
        tuple(pool.map(collector.fold, range(len(rows)), rows))
    assert_same(collector.statistics(), collect(list(rows)))


def test_a_row_that_was_refused_leaves_nothing_behind():
    collector = StatisticsCollector(empty_statistics(2))
    collector.fold(0, np.ones(10, np.float32))
    with pytest.raises(ValueError, match="folded in before"):
        collector.fold(0, np.full(10, 2.0, np.float32))
    collector.fold(1, np.full(10, 3.0, np.float32))
    assert collector.statistics().counts.sum() == 20
    assert collector.statistics().counts[0x4040] == 10
