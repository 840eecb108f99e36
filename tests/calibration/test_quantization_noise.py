import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.calibration.quantization_noise import LEVELS, NoiseModel, expected_error
from onnxq.calibration.smooth_noise import moments_of
from onnxq.calibration.statistics import (
    Histogram,
    StatisticsCollector,
    empty_statistics,
    histogram,
)


def collect(values):
    collector = StatisticsCollector(empty_statistics(1))
    collector.fold(0, np.asarray(values, np.float32))
    return collector.statistics()


def bins_of(values):
    statistics = collect(values)
    return histogram(statistics, statistics.low, statistics.high)


def quantized(values, low, high, levels=LEVELS):
    """Quantize as QuantizeLinear and DequantizeLinear do."""
    scale = (high - low) / levels
    zero_point = np.rint(-low / scale)
    integers = np.clip(np.rint(values / scale) + zero_point, 0, levels)
    return (integers - zero_point) * scale, (-zero_point * scale, (levels - zero_point) * scale)


@given(
    st.floats(0.0, 2.5),
    st.floats(0.5, 2.5),
    st.sampled_from(["normal", "laplace", "relu"]),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_rounding_and_clipping_are_those_of_the_values(low, high, kind, seed):
    generator = np.random.default_rng(seed)
    values = {
        "normal": generator.standard_normal,
        "laplace": lambda size: generator.laplace(size=size),
        "relu": lambda size: np.maximum(generator.standard_normal(size), 0),
    }[kind](20_000).astype(np.float32).astype(np.float64)  # fmt: skip
    found = NoiseModel(bins_of(values)).noise(np.array([-low]), np.array([high]))
    reals, (first, last) = quantized(values, -low, high)
    errors, inside = (values - reals) ** 2, (values >= first) & (values <= last)
    total = errors.sum()
    assert found.rounding[0] == pytest.approx(errors[inside].sum(), rel=0.05, abs=0.02 * total)
    assert found.clipping[0] == pytest.approx(errors[~inside].sum(), rel=0.05, abs=0.02 * total)
    assert found.squares[0] == pytest.approx(total, rel=0.05)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30, unique=True))
@settings(deadline=None)
def test_of_single_values_the_error_is_exact(values):
    points = np.sort(np.asarray(values, np.float64))
    bins = Histogram(points, points, np.ones(len(points)))
    for low, high in [(-60.0, 60.0), (0.0, 10.0), (-3.0, 0.5)]:
        reals, _ = quantized(points, low, high)
        found = expected_error(bins, np.array([low]), np.array([high]))[0]
        assert found == pytest.approx(((points - reals) ** 2).sum(), rel=1e-9, abs=1e-12)


def test_ends_that_touch_are_looked_at_once_and_count_for_both():
    bins = Histogram(np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.array([5.0, 7.0]))
    apart = [
        Histogram(bins.lows[at : at + 1], bins.highs[at : at + 1], bins.weights[at : at + 1])
        for at in (0, 1)
    ]
    lows, highs = np.zeros(3), np.array([3.0, 2.5, 1.2])
    parts = [expected_error(one, lows, highs) for one in apart]
    np.testing.assert_allclose(expected_error(bins, lows, highs), parts[0] + parts[1], rtol=1e-9)


@pytest.mark.parametrize("kind", ["standard_normal", "standard_exponential"])
def test_without_ripple_the_error_is_nearly_the_same(kind):
    values = getattr(np.random.default_rng(0), kind)(50_000)
    bins = bins_of(values)
    top = np.abs(values).max()
    highs = top * np.linspace(0.2, 1.0, 9)
    lows = -highs if kind == "standard_normal" else np.zeros(9)
    smooth = moments_of(bins).noise(lows, highs, LEVELS)
    exact = NoiseModel(bins).noise(lows, highs)
    np.testing.assert_allclose(smooth.rounding, exact.rounding, rtol=0.02)
    np.testing.assert_allclose(smooth.clipping, exact.clipping, rtol=0.05, atol=1.0)
