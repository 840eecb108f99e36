import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from onnxq.calibration.departures import _by_chance, find_departures
from onnxq.calibration.noise_to_signal import ChosenRanges
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.range_methods import MeanSquaredError, MinMax, Percentile

METHODS = (MinMax(), MeanSquaredError(), Percentile(99.9))


def statistics_of(rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for row, values in enumerate(rows):
        collector.fold(row, np.asarray(values, np.float32))
    return collector.statistics()


def normal(count, seed, scale=1.0):
    return np.random.default_rng(seed).standard_normal((count, 400)) * scale


def departures(seen, known, *, method=MinMax(), with_rows=True):  # noqa: B008 - a frozen value
    seen, known = {"t": statistics_of(seen)}, {"t": statistics_of(known)}
    chosen = ChosenRanges({"t": choose_range(known["t"], method)})
    return find_departures(seen, chosen, known if with_rows else {})


@pytest.mark.parametrize(("k", "m", "n"), [(0, 5, 5), (1, 64, 256), (8, 64, 256), (5, 5, 3)])
def test_chance_is_that_of_drawing_one_kind_alone(k, m, n):
    assert _by_chance(k, m, n) == pytest.approx(hypergeom(n + m, m, k).pmf(k))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
@pytest.mark.parametrize("count", [1, 2, 8, 64, 256])
def test_rows_of_one_source_do_not_depart(count, with_rows, method):
    for seed in range(4):
        known, seen = normal(count, seed), normal(64, seed + 1000)
        assert not departures(seen, known, method=method, with_rows=with_rows)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
@pytest.mark.parametrize("count", [1, 2, 8, 256])
@pytest.mark.parametrize("scale", [255, 20])
def test_rows_on_a_larger_scale_leave_the_range(scale, count, with_rows, method):
    (found,) = departures(
        normal(64, 1, scale), normal(count, 0), method=method, with_rows=with_rows
    )
    assert (found.tensor, found.direction, found.rows) == ("t", "beyond", 64)
    assert found.ratio == pytest.approx(scale, rel=0.6)
    assert (found.excess_db > 15) == with_rows


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
@pytest.mark.parametrize("scale", [255, 20])
def test_rows_on_a_smaller_scale_use_little_of_the_range(scale, with_rows, method):
    (found,) = departures(
        normal(64, 1, 1 / scale), normal(256, 0), method=method, with_rows=with_rows
    )
    assert (found.tensor, found.direction) == ("t", "within")
    assert found.ratio == pytest.approx(1 / scale, rel=0.6)


def test_half_as_large_again_is_noticed_where_calibration_rows_are_known():
    for seed in range(5):
        (found,) = departures(normal(64, seed, 1.6), normal(256, seed + 9))
        assert found.direction == "beyond"
        assert 1.3 < found.ratio < 2


def test_it_must_matter():
    """Each row is beyond all of calibration, and by so little that nothing comes of it."""
    assert not departures(normal(64, 1).clip(-2, 2) * 1.01, normal(256, 0).clip(-2, 2))


def test_one_row_far_beyond_is_told_by_its_number():
    seen = normal(64, 1)
    seen[17, 5] = 50.0
    (found,) = departures(seen, normal(256, 0))
    assert (found.row, found.rows, found.reach) == (17, 1, 50.0)
    assert not departures(seen, normal(4, 0), with_rows=False)


def test_the_lower_end_counts_too():
    (found,) = departures(-np.abs(normal(64, 1)), np.abs(normal(64, 0)))
    assert (found.direction, found.known_reach, found.ratio) == ("beyond", 0.0, math.inf)
    assert found.reach < -2


def test_what_was_constant_zero_and_is_not_any_more():
    (found,) = departures(normal(64, 1), np.zeros((64, 400)))
    assert found.direction == "beyond"


def test_masks_in_both_are_no_matter_and_rows_without_values_do_not_count():
    seen, known = normal(64, 1), normal(64, 0)
    seen[:, 0] = known[:, 0] = -3.4e38
    seen[3] = np.nan
    assert not departures(seen, known)
    assert not find_departures({"t": empty_statistics(5)}, ChosenRanges({}), {})
