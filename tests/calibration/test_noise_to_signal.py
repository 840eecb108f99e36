import numpy as np
import pytest

from onnxq.calibration.noise_to_signal import ChosenRanges, noise_ratios, noise_to_signal
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.ranges import TensorRange


def statistics_of(*rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for row, values in enumerate(rows):
        collector.fold(row, np.asarray(values, np.float32))
    return collector.statistics()


def quantized(values, low, high, activation):
    """The grid's own definition: the oracle."""
    if activation == "uint8":
        step = (high - low) / 255
        zero_point = np.rint(-low / step)
        return (np.clip(np.rint(values / step) + zero_point, 0, 255) - zero_point) * step
    step = high / 32767
    return np.clip(np.rint(values / step), -32767, 32767) * step


@pytest.mark.parametrize("activation", ["uint8", "int16"])
@pytest.mark.parametrize("reach", [0.5, 1.0, 2.0])
def test_ratio_is_that_of_quantized_values(activation, reach):
    values = np.random.default_rng(0).standard_normal((4, 50_000))
    high = reach * np.abs(values).max()
    error = quantized(values, -high, high, activation) - values
    found = noise_to_signal(statistics_of(*values), TensorRange(-high, high), activation)
    assert found == pytest.approx((error**2).sum() / (values**2).sum(), rel=0.02)


def test_zeros_have_no_noise_and_a_range_of_zero_leaves_nothing():
    zeros, ones = statistics_of(np.zeros(5)), statistics_of(np.ones(5))
    assert noise_to_signal(zeros, TensorRange(0, 0), "uint8") == 0
    assert noise_to_signal(ones, TensorRange(0, 0), "uint8") == 1


def test_tensors_without_values_have_no_ratio():
    a = statistics_of(np.random.default_rng(1).standard_normal(1000))
    chosen = ChosenRanges(dict.fromkeys(["a", "unseen", "unknown"], TensorRange(-2, 2)), "int16")
    found = noise_ratios({"a": a, "unseen": empty_statistics(1)}, chosen)
    assert found == {"a": noise_to_signal(a, TensorRange(-2, 2), "int16")}
