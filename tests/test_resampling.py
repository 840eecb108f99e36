"""Resampling: counts that pair two models, and the ends of an interval beside scipy's."""

import numpy as np
import pytest
from scipy import stats

from onnxq.resampling import accelerated_ends, acceleration_of, resampled_counts


@pytest.mark.parametrize(("cells", "resamples"), [(1, 3), (7, 100), (3000, 1500)])
def test_counts_add_up_and_repeat(cells, resamples):
    batches = list(resampled_counts(cells, 5, resamples))
    counts = np.concatenate(batches)
    assert counts.shape == (resamples, cells)
    assert (counts.sum(axis=1) == cells).all()
    assert all(map(np.array_equal, batches, resampled_counts(cells, 5, resamples)))
    assert counts.mean() == 1


def test_counts_are_multinomial():
    counts = np.concatenate(list(resampled_counts(50, 0)))
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)


def test_ends_beside_scipy():
    rows = np.random.default_rng(5).exponential(size=120)
    draws = np.concatenate([counts @ rows / 120 for counts in resampled_counts(120, 1, 8000)])
    acceleration = acceleration_of(rows, 120)
    expected = stats.bootstrap(
        (rows,), np.mean, method="BCa", n_resamples=8000, rng=np.random.default_rng(2)
    ).confidence_interval
    low, high = accelerated_ends(draws, rows.mean(), acceleration, 0.95)
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.05 * width)
    assert high == pytest.approx(expected.high, abs=0.05 * width)


def test_the_acceleration_of_a_sample_of_rows_is_that_of_all():
    rows = np.random.default_rng(5).exponential(size=20_000)
    assert acceleration_of(rows[:5000], 20_000) == pytest.approx(
        acceleration_of(rows, 20_000), rel=0.3
    )
    assert acceleration_of(rows, 20_000) == pytest.approx(stats.skew(rows) / 6 / np.sqrt(20_000))
    assert acceleration_of(np.ones(5), 5) == 0
