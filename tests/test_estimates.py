"""Estimators beside scipy's, their coverage, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from onnxq.estimates import (
    Estimate,
    exact,
    mean_over_rows,
    median_over_blocks,
    paired_drop,
    paired_mean_difference,
    ratio_over_blocks,
    wilson,
)
from onnxq.paired_proportions import score_limits


def test_an_estimate_lies_in_its_interval():
    with pytest.raises(ValueError, match="does not lie"):
        Estimate(2.0, 0.0, 1.0, 3, "x")
    with pytest.raises(ValueError, match="does not lie"):
        Estimate(float("nan"), 0.0, 1.0, 3, "x")


def test_exact():
    assert exact(3.0) == Estimate(3.0, 3.0, 3.0, 1, "exact")


@given(st.integers(1, 3000), st.data())
def test_wilson_beside_scipy(n, data):
    successes = data.draw(st.integers(0, n))
    found = wilson(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert (found.value, found.n, found.method) == (successes / n, n, "wilson-95")


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="not a share"):
        wilson(successes, n)


def test_paired_drop():
    reference = np.array([True] * 90 + [False] * 10)
    candidate = reference.copy()
    candidate[:5], candidate[95:97] = False, True
    found = paired_drop(reference, candidate)
    low, high = score_limits(5, 2, 100)
    assert found == Estimate(0.03, float(low), float(high), 100, "tango-95")
    assert paired_drop(candidate, reference).value == -0.03
    assert paired_drop(reference, candidate, confidence=0.975).method == "tango-97.5"


def test_a_model_beside_itself_has_no_drop_but_an_interval():
    right = np.ones(381, bool)
    found = paired_drop(right, right)
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(0.00998, abs=1e-5)


def test_rows_that_do_not_pair_are_refused():
    for one, other in ((np.ones(3, bool), np.ones(4, bool)), (np.ones(0, bool),) * 2):
        with pytest.raises(ValueError, match="do not pair"):
            paired_drop(one, other)


def test_true_drops_of_two_points_are_rarely_passed_at_a_hundred_rows():
    # A bootstrap passes a true 2 pp drop against a 1 pp limit in 11 % of such runs.
    generator = np.random.default_rng(0)
    reference = np.ones(100, bool)
    highs = [paired_drop(reference, generator.uniform(size=100) > 0.02).high for _ in range(300)]
    assert np.mean(np.array(highs) <= 0.01) == 0
    assert np.mean(np.array(highs) < 0.02) <= 0.03


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
def test_mean_difference_beside_scipy(draw):
    rows = getattr(np.random.default_rng(5), draw)(size=400)
    found = paired_mean_difference(rows, seed=1)
    expected = stats.bootstrap(
        (rows,), np.mean, method="BCa", n_resamples=8000, rng=np.random.default_rng(2)
    )
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert found.value == pytest.approx(rows.mean())
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.05 * width)
    assert found.method == "bca-95"


def test_mean_difference_repeats_with_its_seed():
    rows = np.random.default_rng(5).normal(size=50)
    assert paired_mean_difference(rows, seed=3) == paired_mean_difference(rows, seed=3)


def test_many_rows_are_resampled_in_runs():
    rows = np.random.default_rng(5).normal(size=25_001)
    found = paired_mean_difference(rows, seed=3)
    assert found.n == 25_001
    assert found.high - found.low == pytest.approx(2 * 1.96 / math.sqrt(25_001), rel=0.08)


def test_mean_difference_covers_the_truth():
    generator = np.random.default_rng(6)
    hits = 0
    for seed in range(300):
        rows = generator.normal(0.1, 1, 200) * (generator.uniform(size=200) < 0.5)
        found = paired_mean_difference(rows, seed=seed)
        hits += found.low <= 0.05 <= found.high
    assert hits >= 0.91 * 300


def test_few_differences_are_bounded_not_bootstrapped():
    rows = np.zeros(100)
    rows[:3] = 0.5
    found = paired_mean_difference(rows, seed=0)
    assert found.method == "bounded-95"
    assert found.value == pytest.approx(0.015)
    assert found.high == pytest.approx(0.5 * wilson(3, 100).high)
    assert found.low == pytest.approx(-0.5 * wilson(0, 100).high)


def test_equal_rows_leave_what_their_number_leaves():
    rows = np.zeros(100)
    assert paired_mean_difference(rows, seed=0) == Estimate(0.0, 0.0, 0.0, 100, "bounded-95")
    found = paired_mean_difference(rows, seed=0, scale=2.0)
    assert found.high == -found.low == pytest.approx(2 * wilson(0, 100).high)


@pytest.mark.parametrize("rows", [[], [1.0, float("nan")], [float("inf")]])
def test_rows_without_a_mean_are_refused(rows):
    for make in (paired_mean_difference, mean_over_rows):
        with pytest.raises(ValueError, match="have no mean"):
            make(np.array(rows), seed=0)


def test_mean_over_rows():
    values = np.random.default_rng(7).exponential(size=300)
    found = mean_over_rows(values, seed=0)
    assert found.low < values.mean() == found.value < found.high
    few = mean_over_rows(np.array([0.1, 0.1, 0.1]), seed=0)
    assert (few.low, few.high, few.method) == (0.1, 0.1, "range")
    constant = mean_over_rows(np.full(40, 0.1), seed=0)
    assert constant.low == pytest.approx(constant.high)


@pytest.mark.parametrize("blocks", [2, 3, 5, 8, 40])
def test_ratio_over_blocks_beside_scipy(blocks):
    logs = np.random.default_rng(blocks).normal(0.7, 0.02, blocks)
    found = ratio_over_blocks(list(logs))
    low, high = stats.t.interval(0.95, blocks - 1, logs.mean(), stats.sem(logs))
    assert found.value == pytest.approx(math.exp(logs.mean()))
    assert found.low == pytest.approx(math.exp(low))
    assert found.high == pytest.approx(math.exp(high))
    assert found.n == blocks


def test_equal_blocks_have_no_spread():
    found = ratio_over_blocks([0.5, 0.5, 0.5])
    assert found.low == found.value == found.high


def test_one_block_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        ratio_over_blocks([0.1])


def test_median_over_blocks():
    assert median_over_blocks([3.0]) == Estimate(3.0, 3.0, 3.0, 1, "order-0")
    assert median_over_blocks([5, 1, 3, 2, 4]) == Estimate(3, 1, 5, 5, "order-93.75")
    assert median_over_blocks([6, 5, 1, 3, 2, 4]) == Estimate(3.5, 1, 6, 6, "order-95")
    with pytest.raises(ValueError, match="no median"):
        median_over_blocks([])


@pytest.mark.parametrize("blocks", [6, 9, 12, 25])
def test_median_over_blocks_covers_the_truth_and_no_narrower_pair_does(blocks):
    found = median_over_blocks(list(range(blocks)))
    rank = int(found.low)
    covered = 1 - 2 * stats.binom.cdf(rank, blocks, 0.5)
    narrower = 1 - 2 * stats.binom.cdf(rank + 1, blocks, 0.5)
    assert narrower < 0.95 <= covered
    assert found.high == blocks - 1 - rank
