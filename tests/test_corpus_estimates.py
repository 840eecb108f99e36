"""Corpus values: their intervals beside scipy's, and what is said where few rows matter."""

import numpy as np
import pytest
from scipy import stats

from onnxq.corpus_estimates import (
    Doubt,
    Drawn,
    corpus_drop,
    corpus_value,
    draw_values,
    effective_rows,
    values_without,
)
from onnxq.estimates import wilson

RANDOM = np.random.default_rng(0)
ROWS = 300
ERRORS = RANDOM.exponential(1.0, ROWS)
WORSE = ERRORS * 1.1 + RANDOM.normal(0, 0.05, ROWS)


def root_mean(values):
    return lambda counts: np.sqrt(counts @ values / counts.sum(axis=1))


def drawn(values, seed=0):
    return draw_values(root_mean(values), ROWS, ROWS, seed=seed)


def test_a_value_beside_scipy():
    found = corpus_value(drawn(ERRORS), Doubt(ROWS, 1.0))
    expected = stats.bootstrap(
        (ERRORS,),
        lambda rows, axis=-1: np.sqrt(rows.mean(axis=axis)),
        method="BCa",
        n_resamples=4000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    width = expected.high - expected.low
    assert found.value == pytest.approx(np.sqrt(ERRORS.mean()))
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)
    assert (found.n, found.method) == (ROWS, "bca-95")


def test_a_drop_beside_scipy_is_paired():
    found = corpus_drop(drawn(ERRORS), drawn(WORSE), Doubt(ROWS, 1.0), higher_is_better=False)
    expected = stats.bootstrap(
        (WORSE, ERRORS),
        lambda worse, better, axis=-1: np.sqrt(worse.mean(axis)) - np.sqrt(better.mean(axis)),
        paired=True,
        vectorized=True,
        method="BCa",
        n_resamples=4000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)
    other = corpus_drop(drawn(ERRORS), drawn(WORSE), Doubt(ROWS, 1.0), higher_is_better=True)
    assert other.value == -found.value


def test_where_few_rows_matter_nothing_is_resampled():
    found = corpus_drop(drawn(ERRORS), drawn(ERRORS), Doubt(0, 2.0), higher_is_better=True)
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(2 * wilson(0, ROWS).high)
    assert found.method == "bounded-95"
    some = corpus_value(drawn(ERRORS), Doubt(4, 0.5), bounds=(0, 1))
    assert some.high == min(some.value + 0.5 * wilson(4, ROWS).high, 1)


def test_what_is_not_defined_on_some_resamples():
    values = RANDOM.normal(size=1000)
    broken = values.copy()
    broken[::20] = np.nan
    made = Drawn(0.0, broken, np.zeros(3), ROWS, ROWS)
    assert corpus_value(made, Doubt(ROWS, 1.0)).method == "bca-95"
    broken[::3] = np.nan
    with pytest.raises(ValueError, match="resamples only"):
        corpus_value(made, Doubt(ROWS, 1.0))
    with pytest.raises(ValueError, match="all rows is nan"):
        corpus_value(Drawn(np.nan, values, values, 5, 5), Doubt(5, 1.0))


def test_leaving_out_one_cell():
    found = values_without(root_mean(ERRORS), ROWS, np.array([3, 7]))
    for value, row in zip(found, (3, 7), strict=True):
        assert value == pytest.approx(np.sqrt(np.delete(ERRORS, row).mean()))


def test_effective_rows():
    assert effective_rows(np.zeros(9)) == 0
    assert effective_rows(np.array([0, 2.0, -2.0, 2.0])) == 3
    assert effective_rows(np.array([1e-9] * 1000 + [1.0])) == 1
    assert effective_rows(np.full(500, 0.1)) == 500
