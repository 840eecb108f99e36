"""Tests of non-inferiority, Holm's correction, and the rows that a decision needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from onnxq.noninferiority import (
    Flips,
    MeanDrop,
    detectable_drop,
    holm,
    holm_divisors,
    rows_to_settle,
)
from onnxq.paired_proportions import score_limits

EVIDENCE = [Flips(0, 0, 90), Flips(2, 2, 100), Flips(9, 4, 400), MeanDrop(0.002, -0.01, 0.014, 80)]


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("level", [0.025, 0.0125, 0.005])
def test_the_p_value_inverts_the_upper_end(evidence, level):
    _, high = evidence.interval(1 - 2 * level)
    assert evidence.p_value(high) == pytest.approx(level, rel=1e-6)
    assert evidence.p_value(high * 1.01) < level < evidence.p_value(high * 0.99)


def test_extreme_evidence():
    assert Flips(0, 0, 10).p_value(0.0) == 1
    assert Flips(0, 10, 10).p_value(0.5) < 1e-6
    assert Flips(10, 0, 10).p_value(0.01) > 0.999
    assert Flips(10, 0, 10).p_value(1.0) == 1
    same = MeanDrop(0.0, 0.0, 0.0, 10)
    assert (same.p_value(0.1), same.p_value(-0.1)) == (0, 1)


def test_holm_beside_a_worked_example():
    # p = 0.005, 0.01, 0.03, 0.04 at level 0.05: 0.005 <= 0.05/4 and 0.01 <= 0.05/3 fall,
    # 0.03 > 0.05/2 stands and lets 0.04 stand.
    assert holm([0.03, 0.005, 0.04, 0.01], 0.05) == (False, True, False, True)
    assert holm_divisors([0.03, 0.005, 0.04, 0.01], 0.05) == (2, 4, 2, 3)
    assert holm([], 0.05) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_bonferroni_rejects_and_no_more_than_uncorrected_tests(p_values):
    rejected = holm(p_values, 0.05)
    count = len(p_values)
    for p_value, falls in zip(p_values, rejected, strict=True):
        assert falls or p_value > 0.05 / count
        assert not falls or p_value <= 0.05 * (1 + 1e-9)


def test_holm_keeps_the_family_wise_error():
    generator = np.random.default_rng(1)
    wrong = [any(holm(generator.uniform(size=4), 0.05)) for _ in range(4000)]
    assert np.mean(wrong) < 0.06


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_the_rows_named_settle_and_fewer_do_not(evidence):
    more = rows_to_settle(evidence, 0.01)
    assert more > 0
    assert evidence.is_settled_by(more, 0.01, 0.95)
    assert not evidence.is_settled_by(more - 1, 0.01, 0.95)


def test_no_more_rows_where_it_is_settled():
    assert rows_to_settle(Flips(0, 0, 1000), 0.01) == 0


def test_rows_without_any_flip():
    # With no flips the upper end is z^2 / (n + z^2): 381 rows bring it to 1 pp.
    assert rows_to_settle(Flips(0, 0, 100), 0.01) == 281


def test_stricter_confidence_and_limits_need_more_rows():
    flips = Flips(9, 4, 400)
    assert rows_to_settle(flips, 0.005) > rows_to_settle(flips, 0.01)
    assert rows_to_settle(flips, 0.01, confidence=0.99) > rows_to_settle(flips, 0.01)


def test_a_limit_of_nothing_cannot_be_settled():
    with pytest.raises(ValueError, match="no number of rows"):
        rows_to_settle(Flips(1, 1, 100), 0.0)


def test_the_rows_named_suffice_in_four_of_five_cases():
    flips, generator = Flips(9, 6, 400), np.random.default_rng(2)
    more = rows_to_settle(flips, 0.01)
    rate = (flips.lost + flips.gained) / flips.rows
    new = generator.multinomial(more, [rate / 2, rate / 2, 1 - rate], size=1500)
    rows = flips.rows + more
    _, high = score_limits(flips.lost + new[:, 0], flips.gained + new[:, 1], rows)
    assert np.mean(high <= 0.01) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("rows", "rate"), [(200, 0.0), (500, 0.02), (5000, 0.05)])
def test_a_detectable_drop_is_detected_in_four_of_five_cases(rows, rate):
    limit = detectable_drop(rows, rate)
    if not rate:
        z = stats.norm.ppf(0.975)
        assert limit == pytest.approx(z**2 / (rows + z**2))
        return
    generator = np.random.default_rng(3)
    counts = generator.multinomial(rows, [rate / 2, rate / 2, 1 - rate], size=1500)
    _, high = score_limits(counts[:, 0], counts[:, 1], rows)
    assert np.mean(high <= limit) == pytest.approx(0.8, abs=0.05)


def test_more_rows_detect_smaller_drops():
    assert detectable_drop(1000, 0.02) < detectable_drop(300, 0.02) < detectable_drop(300, 0.05)
