"""How much of a tensor is lost in its own quantization, as its statistics predict it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxq.calibration.outliers import find_outliers
from onnxq.calibration.quantization_noise import LEVELS, SYMMETRIC_LEVELS, NoiseModel
from onnxq.calibration.statistics import Histogram, TensorStatistics, histogram
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation

LEVELS_OF: Mapping[Activation, int] = {"uint8": LEVELS, "int16": SYMMETRIC_LEVELS}


@dataclass(frozen=True)
class ChosenRanges:
    """The ranges of one recipe.

    Attributes:
        ranges: By tensor name.
        activation: The grid that they are for.
    """

    ranges: Mapping[str, TensorRange]
    activation: Activation = "uint8"


def noise_ratios(
    statistics: Mapping[str, TensorStatistics], chosen: ChosenRanges
) -> dict[str, float]:
    """Predict the noise to signal ratio of each tensor.

    Args:
        statistics: By tensor name; others than those of the ranges do not matter.
        chosen: The ranges.

    Returns:
        By tensor name; tensors without values are left out.
    """
    return {
        name: noise_to_signal(statistics[name], one, chosen.activation)
        for name, one in chosen.ranges.items()
        if name in statistics and statistics[name].count
    }


def noise_to_signal(
    statistics: TensorStatistics, chosen: TensorRange, activation: Activation
) -> float:
    """Predict the squared error of a range over the squares of the values.

    Args:
        statistics: Of at least one value. Masks and stray rows, which no range holds, are left
            out.
        chosen: The range.
        activation: The grid that it is for.

    Returns:
        A ratio; 0 where all values are zero, 1 where the range is nothing but zero.
    """
    plain = find_outliers(statistics)
    bins = histogram(statistics, plain.low, plain.high)
    signal = _squares(bins)
    if not signal:
        return 0.0
    if chosen.low == chosen.high:
        return 1.0
    model = NoiseModel(bins, LEVELS_OF[activation])
    noise = model.noise(np.array([chosen.low]), np.array([chosen.high])).squares
    return float(noise[0]) / signal


def _squares(bins: Histogram) -> float:
    """Sum up the squares of values that are spread evenly within their bins."""
    lows, highs = bins.lows, bins.highs
    return float((lows * lows + lows * highs + highs * highs) / 3.0 @ bins.weights)
