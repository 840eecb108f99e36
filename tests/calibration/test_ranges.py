import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.calibration.ranges import LEVELS, choose_range, expected_error
from onnxq.calibration.statistics import StatisticsCollector, histogram
from onnxq.recipes import MeanSquaredError, MinMax


def collect(*rows):
    collector = StatisticsCollector(len(rows))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def true_error(values, low, high):
    """Quantize as onnxruntime does, and add up the squared errors."""
    values = np.asarray(values, np.float64)
    scale = (high - low) / LEVELS
    zero_point = np.rint(-low / scale)
    integers = np.clip(np.rint(values / scale) + zero_point, 0, LEVELS)
    return float((((integers - zero_point) * scale - values) ** 2).sum())


def draw(kind, size=40_000):
    generator = np.random.default_rng(5)
    values = {
        "normal": lambda: generator.standard_normal(size),
        "relu": lambda: np.maximum(generator.standard_normal(size), 0),
        "laplace": lambda: generator.laplace(size=size),
        "heavy": lambda: generator.standard_t(3, size),
        "heavy relu": lambda: np.maximum(generator.standard_t(3, size), 0),
        "one side heavy": lambda: np.where(
            generator.random(size) < 0.5, generator.exponential(3, size), -generator.random(size)
        ),
        "negative": lambda: -generator.gamma(2.0, size=size),
        "uniform": lambda: generator.uniform(-1, 3, size),
        "shifted": lambda: generator.normal(20, 1, size),
    }[kind]()
    return values.astype(np.float32)


KINDS = [
    "normal", "relu", "laplace", "heavy", "heavy relu", "one side heavy", "negative", "uniform",
    "shifted",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_minmax_is_exact(kind):
    values = draw(kind)
    found = choose_range(collect(*np.split(values, 8)), MinMax(), may_clip=True)
    assert (found.low, found.high) == (min(0.0, values.min()), max(0.0, values.max()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_expected_error_is_what_quantizing_costs(kind, share):
    values = draw(kind)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    statistics = collect(values)
    bins = histogram(statistics, statistics.low, statistics.high)
    predicted = expected_error(bins, np.array([low * share]), np.array([high * share]))
    assert predicted[0] == pytest.approx(true_error(values, low * share, high * share), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_mse_is_as_good_as_a_brute_search_over_the_values_themselves(kind):
    values = draw(kind)
    found = choose_range(collect(values), MeanSquaredError(), may_clip=True)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    shares = np.geomspace(0.05, 1, 24)
    best = min(
        true_error(values, low * down, high * up)
        for down in (shares if low else [1.0])
        for up in (shares if high else [1.0])
    )
    error = true_error(values, found.low, found.high)
    assert error <= 1.02 * best
    assert error <= true_error(values, low, high)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_range_includes_zero_and_stays_within_the_values(values):
    statistics = collect(values)
    for method in (MinMax(), MeanSquaredError()):
        found = choose_range(statistics, method, may_clip=True)
        assert found.low <= 0.0 <= found.high
        assert found.low >= min(0.0, *values)
        assert found.high <= max(0.0, *values)


def test_what_must_not_be_clipped_is_not():
    values = draw("heavy")
    statistics = collect(values)
    clipped = choose_range(statistics, MeanSquaredError(), may_clip=True)
    whole = choose_range(statistics, MeanSquaredError(), may_clip=False)
    assert clipped.high < whole.high == values.max()
    assert whole == choose_range(statistics, MinMax(), may_clip=True)


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-30])
def test_a_constant_is_represented_exactly(value):
    for method in (MinMax(), MeanSquaredError()):
        found = choose_range(collect([value] * 10), method, may_clip=True)
        assert (found.low, found.high) == (min(0.0, np.float32(value)), max(0.0, np.float32(value)))


def test_no_rows_have_no_range():
    with pytest.raises(ValueError, match="no rows were folded in"):
        choose_range(StatisticsCollector(2).statistics(), MinMax(), may_clip=True)


def test_a_stray_row_does_not_decide_a_range():
    rows = draw("normal").reshape(40, -1)
    plain = choose_range(collect(*rows), MeanSquaredError(), may_clip=True)
    stray = np.full(rows.shape[1], 1e6, np.float32)
    for method in (MinMax(), MeanSquaredError()):
        found = choose_range(collect(*rows, stray), method, may_clip=True)
        assert found.high == pytest.approx(plain.high, rel=0.6)
