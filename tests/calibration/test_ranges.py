import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.calibration.auto import auto_range
from onnxq.calibration.least_error import least_error
from onnxq.calibration.quantization_noise import LEVELS, SYMMETRIC_LEVELS, expected_error
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import (
    Histogram,
    StatisticsCollector,
    empty_statistics,
    histogram,
)
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Auto, MeanSquaredError, MinMax, Percentile
from onnxq.tensor_uses import INNER, RANKED, TensorUse

METHODS = [MinMax(), Percentile(99.0), MeanSquaredError(), Auto()]


def collect(*rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
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
    found = choose_range(collect(*np.split(values, 8)), MinMax())
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
    found = choose_range(collect(values), MeanSquaredError())
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
        found = choose_range(statistics, method)
        assert found.low <= 0.0 <= found.high
        assert found.low >= min(0.0, *values)
        assert found.high <= max(0.0, *values)


def test_what_must_not_be_clipped_is_not():
    values = draw("heavy")
    statistics = collect(values)
    clipped = choose_range(statistics, MeanSquaredError())
    whole = choose_range(statistics, MeanSquaredError(), RANKED)
    assert clipped.high < whole.high == values.max()
    assert whole == choose_range(statistics, MinMax())


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-30])
def test_a_constant_is_represented_exactly(value):
    for method in (MinMax(), MeanSquaredError()):
        found = choose_range(collect([value] * 10), method)
        assert (found.low, found.high) == (min(0.0, np.float32(value)), max(0.0, np.float32(value)))


def test_no_rows_have_no_range():
    with pytest.raises(ValueError, match="no rows were folded in"):
        choose_range(empty_statistics(2), MinMax())


def test_a_stray_row_does_not_decide_a_range():
    rows = draw("normal").reshape(40, -1)
    plain = choose_range(collect(*rows), MeanSquaredError())
    stray = np.full(rows.shape[1], 1e6, np.float32)
    for method in (MinMax(), MeanSquaredError()):
        found = choose_range(collect(*rows, stray), method)
        assert found.high == pytest.approx(plain.high, rel=0.6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("percent", [100.0, 99.9, 99.0, 80.0])
def test_percentiles_are_those_of_numpy_to_the_width_of_two_bins(kind, percent):
    values = draw(kind)
    found = choose_range(collect(*np.split(values, 8)), Percentile(percent))
    tail = (100.0 - percent) / 2
    low, high = np.percentile(values.astype(np.float64), [tail, 100.0 - tail])
    assert found.low == pytest.approx(min(0.0, low), rel=1 / 64, abs=1e-6)
    assert found.high == pytest.approx(max(0.0, high), rel=1 / 64, abs=1e-6)


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=60))
def test_all_values_are_all_of_them(values):
    statistics = collect(values)
    every, minmax = (choose_range(statistics, method) for method in (Percentile(100.0), MinMax()))
    assert (every.low, every.high) == pytest.approx((minmax.low, minmax.high), rel=1e-6)


@pytest.mark.parametrize("method", [Percentile(60.0), MeanSquaredError()])
@pytest.mark.parametrize("activation", ["uint8", "int16"])
def test_what_the_model_says_is_never_clipped(method, activation):
    values = draw("heavy")
    found = choose_range(collect(values), method, RANKED, activation=activation)
    assert found.high >= values.max()
    assert found.low <= values.min()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [MinMax(), MeanSquaredError(), Percentile(99.0)])
def test_int16_ranges_are_symmetric(kind, method):
    values = draw(kind)
    found = choose_range(collect(values), method, activation="int16")
    assert found.low == -found.high
    assert 0 < found.high <= np.abs(values).max()
    if isinstance(method, MinMax):
        assert found.high == np.abs(values).max()
    if isinstance(method, Percentile):
        expected = np.percentile(np.abs(values.astype(np.float64)), 99.0)
        assert found.high == pytest.approx(expected, rel=1 / 128)


@pytest.mark.parametrize("kind", KINDS)
def test_int16_mse_is_no_worse_than_any_other_end(kind):
    values = draw(kind).astype(np.float64)

    def true_int16_error(high):
        scale = high / (SYMMETRIC_LEVELS // 2)
        integers = np.clip(np.rint(values / scale), -32767, 32767)
        return float(((integers * scale - values) ** 2).sum())

    found = choose_range(collect(values), MeanSquaredError(), activation="int16").high
    others = np.abs(values).max() * np.linspace(0.05, 1.0, 96)
    assert true_int16_error(found) <= 1.05 * min(map(true_int16_error, others))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [MinMax(), Percentile(99.9), MeanSquaredError(), Auto()])
def test_every_method_is_as_good_as_on_the_values_themselves(kind, method):
    """The histogram in place of a full buffer costs no error, and moves no end beyond a bin."""
    values = draw(kind)
    use = TensorUse(clipping_gain=4.0)
    found = choose_range(collect(*np.split(values, 8)), method, use)
    points, counts = np.unique(values.astype(np.float64), return_counts=True)
    reference = _ends_on_points(Histogram(points, points, counts.astype(np.float64)), method, use)
    if isinstance(method, MeanSquaredError | Auto):
        ours, theirs = (true_error(values, *ends) for ends in ((found.low, found.high), reference))
        assert ours == pytest.approx(theirs, rel=0.05)
    else:
        assert (found.low, found.high) == pytest.approx(reference, rel=1 / 64, abs=1e-6)


def _ends_on_points(bins, method, use):
    match method:
        case MinMax():
            return min(0.0, bins.lows[0]), max(0.0, bins.highs[-1])
        case Percentile(percent=percent):
            values = np.repeat(bins.lows, bins.weights.astype(int))
            tail = (100.0 - percent) / 2
            low, high = np.percentile(values, [tail, 100.0 - tail])
            return min(0.0, low), max(0.0, high)
        case MeanSquaredError():
            return least_error(bins)
        case Auto():
            return auto_range(bins, use.clipping_gain)


@given(
    st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8), min_size=2, max_size=6
    ),
    st.randoms(use_true_random=False),
    st.sampled_from(METHODS),
    st.sampled_from([INNER, TensorUse(clipping_gain=5.0), TensorUse(tail="sigmoid"), RANKED]),
    st.sampled_from(["uint8", "int16"]),
)
@settings(max_examples=60, deadline=None)
def test_a_range_depends_on_no_order_and_no_grouping(rows, random, method, use, activation):
    whole = choose_range(collect(*rows), method, use, activation=activation)
    parts = []
    for index, row in enumerate(rows):
        collector = StatisticsCollector(empty_statistics(len(rows)))
        values = list(row)
        random.shuffle(values)
        collector.fold(index, np.asarray(values, np.float32))
        parts.append(collector.statistics())
    random.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert choose_range(merged, method, use, activation=activation) == whole
    assert whole.low <= 0.0 <= whole.high
    extreme = max(abs(value) for row in rows for value in row)
    assert max(-whole.low, whole.high) <= np.float32(extreme)


@pytest.mark.parametrize("method", [Percentile(99.0), MeanSquaredError(), Auto()])
@pytest.mark.parametrize("activation", ["uint8", "int16"])
def test_a_bound_that_values_sit_on_is_kept(method, activation):
    values = np.clip(draw("heavy") * 2, 0, 6)
    assert np.mean(values == 6) > 1e-3
    found = choose_range(
        collect(values), method, TensorUse(low=0.0, high=6.0), activation=activation
    )
    assert found.high == 6.0


def test_a_bound_that_is_hardly_reached_is_none():
    values = np.clip(draw("heavy"), 0, 6)
    values[:2000] = 0.1
    values[values > 3] = 0.1
    values[0] = 6.0
    found = choose_range(collect(values), Percentile(99.9), TensorUse(low=0.0, high=6.0))
    assert found.high < 5.0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bound_within_a_bin_is_told_from_its_neighbours(sign):
    values = sign * np.random.default_rng(0).uniform(0, 1.3, 40_000).astype(np.float32)
    values[0] = sign * np.float32(1.3)
    bound = {1: TensorUse(high=1.3), -1: TensorUse(low=-1.3)}[sign]
    found = choose_range(collect(values), Percentile(90.0), bound)
    assert max(-found.low, found.high) < 1.29
    values[:400] = sign * np.float32(1.3)
    kept = choose_range(collect(values), Percentile(90.0), bound)
    assert max(-kept.low, kept.high) == 1.3


@pytest.mark.parametrize("method", METHODS)
def test_shares_are_all_of_zero_to_one(method):
    statistics = collect([0.4, 0.5, 0.6])
    use = TensorUse(is_share=True)
    assert choose_range(statistics, method, use) == TensorRange(0.0, 1.0)
    assert choose_range(statistics, method, use, activation="int16") == TensorRange(-1.0, 1.0)
