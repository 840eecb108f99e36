import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.calibration.convergence import (
    FIRST_ROUND,
    TOLERANCE_DB,
    converge,
    measure_gap,
    predict_loss,
    spread_order,
)
from onnxq.calibration.noise_to_signal import ChosenRanges, noise_ratios
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import MeanSquaredError, MinMax, Percentile

METHODS = (MeanSquaredError(), MinMax(), Percentile())


class Rows:
    """Rows of one tensor in memory, and what a calibration does with them."""

    def __init__(self, rows, methods=METHODS):
        self.rows = rows
        self.methods = methods
        self.rounds = []

    def collect(self, runs, known):
        self.rounds.append(runs)
        start = known.get("t") or empty_statistics(len(self.rows))
        collector = StatisticsCollector(start)
        for run in runs:
            collector.fold(run, self.rows[run])
        return {"t": collector.statistics()}

    def choose(self, statistics):
        return [
            ChosenRanges({"t": choose_range(statistics["t"], method)}) for method in self.methods
        ]

    def converge(self, **options):
        known = {}

        def collect(runs):
            known.update(self.collect(runs, known))
            return known

        return converge(collect, self.choose, len(self.rows), **options)

    def loss_db(self, converged):
        """Return what each method's ranges lose against those of all rows, on all rows."""
        whole = self.collect(range(len(self.rows)), {})
        pairs = zip(self.choose(converged.statistics), self.choose(whole), strict=True)
        return [
            10 * math.log10(noise_ratios(whole, ours)["t"] / noise_ratios(whole, theirs)["t"])
            for ours, theirs in pairs
        ]


def normal(count, values=300, seed=0):
    return np.random.default_rng(seed).standard_normal((count, values)).astype(np.float32)


@pytest.mark.parametrize(
    ("method", "most_db"),
    [(MeanSquaredError(), 0.1), (MinMax(), 0.0), (Percentile(), 0.2)],
    ids=["mse", "minmax", "percentile"],
)
@pytest.mark.parametrize("kind", ["alike", "sorted by class"])
def test_it_stops_early_and_loses_little(kind, method, most_db):
    scale = np.repeat([1.0, 2.0, 3.0, 8.0], 500) if kind == "sorted by class" else np.ones(2000)
    losses, seen = [], []
    for seed in range(4):
        rows = Rows(normal(2000, seed=seed) * scale.astype(np.float32)[:, np.newaxis], [method])
        converged = rows.converge(seed=seed)
        assert converged.predicted_loss_db <= TOLERANCE_DB
        losses += rows.loss_db(converged)
        seen.append(converged.runs_seen)
    assert np.mean(seen) <= 1500
    assert np.mean(losses) <= most_db


@pytest.mark.parametrize("period", [2, 4, 10, 32, 128])
def test_rows_that_are_periodic_do_not_fool_it(period):
    scale = np.where(np.arange(2000) % period == period - 1, 8.0, 1.0)[:, np.newaxis]
    rows = Rows((normal(2000) * scale).astype(np.float32))
    assert max(rows.loss_db(rows.converge())) <= 0.1


def test_heavy_tails_take_all_rows():
    generator = np.random.default_rng(0)
    scales = generator.pareto(1.0, (1000, 1)) + 1
    rows = Rows((normal(1000) * scales).astype(np.float32), [MeanSquaredError()])
    converged = rows.converge()
    assert (converged.runs_seen, converged.predicted_loss_db) == (1000, 0.0)
    assert max(point.gap_db for point in converged.points) > 0.1


def test_rounds_double_and_hold_each_run_once():
    rows = Rows(normal(2000))
    converged = rows.converge(batch_rows=4)
    assert [len(one) for one in rows.rounds][:4] == [32, 32, 64, 128]
    runs = list(itertools.chain(*rows.rounds))
    assert len(set(runs)) == len(runs) == converged.runs_seen
    assert [point.rows for point in converged.points][:2] == [128, 256]


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 100, 256])
def test_few_rows_are_all_looked_at_whatever_the_seed(count):
    found = [Rows(normal(count)).converge(seed=seed) for seed in (0, 1)]
    for one in found:
        assert (one.runs_seen, one.predicted_loss_db) == (count, 0.0)
    np.testing.assert_array_equal(*(one.statistics["t"].counts for one in found))
    ends = [end for end in (32, 64, 128) if end < count]
    assert [point.rows for point in found[0].points] == ends


def test_equal_seeds_give_equal_results():
    one, other = (Rows(normal(500)).converge(seed=7) for _ in range(2))
    assert (one.points, one.runs_seen) == (other.points, other.runs_seen)


def test_rounds_without_a_finite_value_settle_nothing():
    rows = Rows(normal(600))
    rows.rows[spread_order(600, 0)[: 2 * FIRST_ROUND]] = np.nan
    converged = rows.converge()
    assert converged.points[0].rows == 4 * FIRST_ROUND
    assert converged.statistics["t"].non_finite == 2 * FIRST_ROUND * 300


def test_the_recipe_that_loses_most_decides():
    statistics = Rows(normal(10)).collect(range(10), {})
    good, bad = (ChosenRanges({"t": TensorRange(-end, end)}) for end in (4.0, 1.0))
    assert measure_gap(statistics, [good, bad], [good, good]) > 3
    assert measure_gap(statistics, [good, good], [good, bad]) == 0
    assert measure_gap(statistics, [good], [good]) == 0


def test_a_tensor_that_gains_makes_up_for_no_other():
    one = Rows(normal(10)).collect(range(10), {})["t"]
    statistics = {"a": one, "b": one}
    good, bad = TensorRange(-4, 4), TensorRange(-8, 8)
    before, after = ChosenRanges({"a": good, "b": bad}), ChosenRanges({"a": bad, "b": good})
    assert measure_gap(statistics, [before], [after]) == pytest.approx(2.0, abs=0.2)


def test_a_loss_that_falls_with_one_over_n_is_predicted_exactly():
    gaps = [0.8 / 2**k for k in range(1, 5)]  # ranges of n rows lose 0.8/n against infinitely many
    assert predict_loss(gaps, 2.0**40) == pytest.approx(0.8 / 2**4)
    assert predict_loss(gaps, 4) == pytest.approx(0.8 / 2**4 * 3 / 4)


@pytest.mark.parametrize(
    ("gaps", "growth", "expected"),
    [
        ([], 1, 0.0),
        ([5.0], 1, 0.0),
        ([0.0, 0.0], 2, math.inf),
        ([0.0, 0.0, 0.0], 1000, 0.0),
        ([0.2, 0.2, 0.2], 8, 0.6),  # no fall: as much again with each doubling
        ([0.0, 0.1, 0.3], 8, 0.9),  # a rise is taken for no fall
        ([0.0, 0.0, 0.3], 8, 0.9),
        ([0.0, 1.0, 0.0], 2, 0.25),  # a lucky round does not count
        ([2.0, 0.0, 0.0], 2, 0.5),
        ([0.8, 0.4, 0.2], math.sqrt(2), 0.05),
    ],
)
def test_coming_gaps_are_a_geometric_series(gaps, growth, expected):
    assert predict_loss(gaps, growth) == pytest.approx(expected)


@given(st.integers(1, 300), st.integers(0, 2**40))
def test_orders_are_spread_however_far_one_looks(count, seed):
    order = spread_order(count, seed)
    assert sorted(order) == list(range(count))
    for power in range(8):
        first = np.sort(order[: 2**power])
        if len(first) == 2**power:
            gaps = np.diff([-1, *first, count])
            assert gaps.max() <= 2 * math.ceil(count / 2**power) + 1


def test_orders_differ_with_the_seed():
    assert not np.array_equal(spread_order(100, 0), spread_order(100, 1))
