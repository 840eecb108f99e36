import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.calibration.least_error import weighted_error
from onnxq.calibration.quantization_noise import LEVELS, SYMMETRIC_LEVELS, NoiseModel
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics, histogram
from onnxq.range_methods import Auto, MeanSquaredError, MinMax, Percentile
from onnxq.tensor_uses import TensorUse


def collect(*rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def draw(kind, size=8_000):
    generator = np.random.default_rng(3)
    return {
        "normal": lambda: generator.standard_normal(size),
        "heavy": lambda: generator.standard_t(3, size),
        "heavy relu": lambda: np.maximum(generator.standard_t(3, size), 0),
        "lopsided": lambda: generator.gumbel(size=size),
        "few values": lambda: generator.choice([-1.0, 0.0, 0.25, 9.0], size),
    }[kind]().astype(np.float32)


KINDS = ["normal", "heavy", "heavy relu", "lopsided", "few values"]


def true_error(values, low, high, gain, levels=LEVELS):
    """Quantize the values themselves, and let clipping count so many times more."""
    values = values.astype(np.float64)
    scale = (high - low) / levels
    zero_point = np.rint(-low / scale)
    first, last = -zero_point * scale, (levels - zero_point) * scale
    errors = (np.clip(np.rint(values / scale) * scale, first, last) - values) ** 2
    return float((errors * np.where((values < first) | (values > last), gain, 1.0)).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gain", [1.0, 4.0, 50.0])
def test_it_is_as_good_as_a_brute_search_over_the_values_themselves(kind, gain):
    values = draw(kind)
    found = choose_range(collect(values), Auto(), TensorUse(clipping_gain=gain))
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    shares = np.geomspace(0.05, 1, 16)
    best = min(
        true_error(values, low * down, high * up, gain)
        for down in (shares if low else [1.0])
        for up in (shares if high else [1.0])
    )
    assert true_error(values, found.low, found.high, gain) <= 1.05 * best


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=60),
    st.floats(1.0, 100.0),
    st.sampled_from(["uint8", "int16"]),
)
@settings(max_examples=60, deadline=None)
def test_by_its_own_measure_no_method_is_better(values, gain, activation):
    statistics, use = collect(values), TensorUse(clipping_gain=gain)
    if statistics.low == statistics.high:
        return
    levels = LEVELS if activation == "uint8" else SYMMETRIC_LEVELS
    model = NoiseModel(histogram(statistics, statistics.low, statistics.high), levels)

    def error(method):
        found = choose_range(statistics, method, use, activation=activation)
        if found.low == found.high:
            return np.inf
        noise = model.noise(np.array([found.low]), np.array([found.high]))
        return float(weighted_error(noise, gain)[0])

    others = [error(method) for method in (MinMax(), Percentile(), MeanSquaredError())]
    assert error(Auto()) <= min(others) * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_more_clipping_counts_the_wider_the_range(kind):
    statistics = collect(draw(kind))
    widths = [
        found.high - found.low
        for gain in (1.0, 10.0, 1000.0)
        for found in [choose_range(statistics, Auto(), TensorUse(clipping_gain=gain))]
    ]
    assert widths[0] <= 1.01 * widths[1] <= 1.02 * widths[2]


@pytest.mark.parametrize("gain", [0.5, -1.0, float("nan"), float("inf")])
def test_a_gain_that_cannot_be_is_refused(gain):
    with pytest.raises(ValueError, match="times as strongly"):
        TensorUse(clipping_gain=gain)
