"""The split is seeded, disjoint, complete and the same forever."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onnxq.datasets.splitting import choose_rows, split_rows

COUNTS = st.integers(0, 3000)
SEEDS = st.integers(0, 2**32 - 1)


@given(COUNTS, SEEDS)
def test_a_split_is_disjoint_complete_ascending_and_repeatable(count, seed):
    calibration, evaluation = split_rows(count, seed)
    assert sorted([*calibration, *evaluation]) == list(range(count))
    assert all(np.all(np.diff(part) > 0) for part in (calibration, evaluation))
    for part, again in zip((calibration, evaluation), split_rows(count, seed), strict=True):
        np.testing.assert_array_equal(part, again)


@given(COUNTS, SEEDS)
def test_calibration_gets_a_fifth_within_bounds(count, seed):
    calibration, _ = split_rows(count, seed)
    expected = min(256, max(1, count // 5)) if count > 1 else 0
    assert len(calibration) == expected


@given(COUNTS, st.integers(0, 4000), SEEDS)
def test_a_limit_chooses_a_subset(count, limit, seed):
    chosen = choose_rows(count, limit, seed)
    assert len(chosen) == (min(count, limit) if limit else count)
    assert np.all(np.diff(chosen) > 0)
    assert set(chosen) <= set(range(count))


def test_seeds_differ():
    assert not np.array_equal(split_rows(1000, 0)[0], split_rows(1000, 1)[0])


def test_the_split_of_a_seed_is_the_same_in_every_version():
    """A golden: reports of different days are compared row by row."""
    assert split_rows(20, 0)[0].tolist() == [1, 8, 18, 19]
    assert choose_rows(20, 3, 5).tolist() == [2, 5, 17]
