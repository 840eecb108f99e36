"""Quantiles and tails, beside scipy's."""

import pytest
from scipy import stats

from onnxq.distributions import binomial_tail, normal_quantile, normal_tail, student_quantile


@pytest.mark.parametrize("probability", [1e-7, 0.025, 0.4, 0.5, 0.9, 0.975, 0.9958, 1 - 1e-7])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 9, 30, 101, 2000])
def test_student_quantile(probability, degrees):
    expected = stats.t.ppf(probability, degrees)
    assert student_quantile(probability, degrees) == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_normal():
    assert normal_quantile(0.975) == pytest.approx(stats.norm.ppf(0.975))
    for z in (-3.0, 0.0, 1.96, 9.0):
        assert normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-12)


@pytest.mark.parametrize("trials", [1, 2, 20, 1000, 50_000])
@pytest.mark.parametrize("probability", [0.0, 0.001, 0.3, 0.5, 0.97, 1.0])
def test_binomial_tail(trials, probability):
    for successes in {0, 1, trials // 3, trials - 1, trials}:
        expected = stats.binom.sf(successes - 1, trials, probability)
        assert binomial_tail(successes, trials, probability) == pytest.approx(
            expected, rel=1e-6, abs=1e-290
        )


def test_more_successes_than_trials_have_no_tail():
    assert binomial_tail(5, 4, 0.5) == 0


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, float("nan")])
def test_a_probability_outside_is_refused(probability):
    with pytest.raises(ValueError, match="between 0 and 1"):
        student_quantile(probability, 3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        normal_quantile(probability)


def test_no_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="1 degree"):
        student_quantile(0.9, 0)
