"""Score intervals of paired proportions: beside an independent inversion, and their coverage."""

import numpy as np
import pytest
from scipy import optimize, stats

from onnxq.paired_proportions import mcnemar, restricted_score, score_limits

Z = stats.norm.ppf(0.975)
TABLES = [
    (lost, gained, rows)
    for rows in (1, 3, 5, 21, 100, 1000)
    for lost in sorted({0, 1, 2, 7, rows // 3, rows - 1, rows})
    for gained in sorted({0, 1, 5, rows // 4, rows - lost})
    if 0 <= gained <= rows - lost
]


def statistic(lost, gained, rows, drop):
    """Tango's statistic, its nuisance parameter found by minimizing the likelihood itself."""
    low, high = max(0.0, -drop), (1 - drop) / 2

    def negative_log_likelihood(gain):
        shares = (gain + drop, gain, 1 - 2 * gain - drop)
        counts = (lost, gained, rows - lost - gained)
        return -sum(k * np.log(max(p, 1e-300)) for k, p in zip(counts, shares, strict=True) if k)

    found = optimize.minimize_scalar(
        negative_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    )
    gain = min((found.x, low, high), key=negative_log_likelihood)
    variance = (2 * gain + drop - drop * drop) / rows
    return ((lost - gained) / rows - drop) / np.sqrt(variance)


def tango_upper(lost, gained, rows):
    drop = (lost - gained) / rows
    if drop == 1:
        return 1.0
    return optimize.brentq(
        lambda limit: statistic(lost, gained, rows, limit) + Z, drop + 1e-12, 1 - 1e-12
    )


@pytest.mark.parametrize(("lost", "gained", "rows"), TABLES)
def test_limits_beside_a_numeric_inversion(lost, gained, rows):
    low, high = score_limits(lost, gained, rows)
    upper, lower = tango_upper(lost, gained, rows), -tango_upper(gained, lost, rows)
    drop = (lost - gained) / rows
    assert -1 <= low <= drop <= high <= 1
    if upper >= 0:
        assert high == pytest.approx(upper, abs=1e-7)
    else:
        assert upper - 1e-9 <= high <= 0
    if lower <= 0:
        assert low == pytest.approx(lower, abs=1e-7)
    else:
        assert 0 <= low <= lower + 1e-9


def test_published_example():
    # Airway reactivity before and after stem cell transplantation, 21 children: Tango's
    # interval is -0.517 to -0.026 (Fagerland, Lydersen and Laake 2014, table of intervals).
    assert tango_upper(1, 7, 21) == pytest.approx(-0.026, abs=5e-4)
    low, high = score_limits(1, 7, 21)
    assert low == pytest.approx(-0.517, abs=5e-4)
    assert high == 0


def test_no_flips_still_leave_room():
    low, high = score_limits(0, 0, 100)
    assert high == pytest.approx(Z**2 / (100 + Z**2))
    assert low == -high


def test_all_rows_lost():
    low, high = score_limits(10, 0, 10)
    assert high == 1
    assert 0 < low < 1


def test_swapping_the_models_mirrors_the_interval():
    lost, gained = np.meshgrid(np.arange(20), np.arange(20))
    low, high = score_limits(lost, gained, 60)
    assert np.array_equal(low, -score_limits(gained, lost, 60)[1])
    assert np.array_equal(high, -score_limits(gained, lost, 60)[0])


def test_a_further_loss_never_moves_an_end_down():
    lost, gained = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    for end in score_limits(lost, gained, 90):
        assert (np.diff(end, axis=0) >= -1e-12).all()
        assert (np.diff(end, axis=1) <= 1e-12).all()


def test_more_confidence_is_a_wider_interval():
    narrow, wide = score_limits(9, 2, 80), score_limits(9, 2, 80, confidence=0.99)
    assert wide[0] <= narrow[0]
    assert narrow[1] < wide[1]


def test_the_inner_end_excludes_zero_where_corrected_mcnemar_does():
    lost, gained = np.meshgrid(np.arange(30), np.arange(30))
    chi2 = np.maximum(lost - gained - 1, 0) ** 2 / np.maximum(lost + gained, 1)
    low, _ = score_limits(lost, gained, 1000)
    assert np.array_equal(low > 0, chi2 > Z**2)


@pytest.mark.parametrize("rows", [20, 50, 100, 200])
@pytest.mark.parametrize("lost_share", [0.5, 0.9, 1.0])
def test_coverage_by_exact_enumeration(rows, lost_share):
    lost, gained = (a.ravel() for a in np.meshgrid(np.arange(60), np.arange(60)))
    possible = lost + gained <= rows
    lost, gained = lost[possible], gained[possible]
    low, high = score_limits(lost, gained, rows)
    counts = np.stack([lost, gained, rows - lost - gained], axis=1)
    for rate in np.linspace(0, 0.1, 15):
        shares = [rate * lost_share, rate * (1 - lost_share), 1 - rate]
        likelihood = stats.multinomial.pmf(counts, rows, shares)
        drop = shares[0] - shares[1]
        covered = likelihood[(low <= drop + 1e-12) & (drop - 1e-12 <= high)].sum()
        claimed = likelihood[high < drop - 1e-12].sum()
        assert covered >= 0.94
        assert claimed <= 0.027


def test_the_restricted_score_is_finite_everywhere():
    for drop in (-1.0, -0.5, -1e-12, 0.0, 1e-12, 0.5, 1.0):
        lost, gained = np.meshgrid(np.arange(11), np.arange(11))
        observed, deviation = restricted_score(np.float64(drop), lost, gained, 20)
        assert np.isfinite(observed).all()
        assert np.isfinite(deviation).all()


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (3, 0), (0, 9), (5, 5), (12, 3), (40, 20)])
def test_mcnemar(lost, gained):
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(expected)
