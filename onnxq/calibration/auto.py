"""The range with the least error behind what reads a tensor.

Behind its readers, a tensor's error is that of rounding plus that of clipping times a gain: see
:mod:`onnxq.graph.clipping_gains`. That makes ranges a little wider in front of kernels that
smooth, where the mean squared error of the tensor itself cuts off too much.
"""

import numpy as np

from onnxq.calibration.least_error import Ends, least_error, least_error_magnitude, least_of
from onnxq.calibration.percentiles import percentile_range
from onnxq.calibration.quantization_noise import LEVELS, SYMMETRIC_LEVELS, NoiseModel
from onnxq.calibration.statistics import Histogram
from onnxq.range_methods import Percentile


def auto_range(bins: Histogram, gain: float) -> Ends:
    """Find the asymmetric uint8 range with the least error behind a tensor's readers.

    Args:
        bins: Of values that are not all zero.
        gain: How many times more strongly clipping comes through than rounding.

    Returns:
        The range; by that error no worse than any that another method chooses.
    """
    found = (
        (min(0.0, float(bins.lows[0])), max(0.0, float(bins.highs[-1]))),
        percentile_range(bins, Percentile().percent, one_sided=False),
        *(least_error(bins, one) for one in dict.fromkeys((1.0, gain))),
    )
    lows, highs = np.array(list(dict.fromkeys(found))).T
    return least_of(NoiseModel(bins, LEVELS), gain, lows, highs)


def auto_magnitude(bins: Histogram, gain: float) -> float:
    """Find the symmetric int16 range with the least error behind a tensor's readers.

    Args:
        bins: Of magnitudes, not all zero.
        gain: How many times more strongly clipping comes through than rounding.

    Returns:
        Its upper end.
    """
    found = (
        float(bins.highs.max()),
        percentile_range(bins, Percentile().percent, one_sided=True)[1],
        *(least_error_magnitude(bins, one) for one in dict.fromkeys((1.0, gain))),
    )
    model = NoiseModel(bins, SYMMETRIC_LEVELS // 2)
    return least_of(model, gain, 0.0, np.unique(found))[1]
