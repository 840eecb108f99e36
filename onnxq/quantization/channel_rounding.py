"""Weights rounded channel by channel as onnxruntime's quantizers do, in one expression.

onnxruntime 1.31 goes through the channels in Python, some twenty calls each: 1.6 of 2.5 CPU
seconds for a ViT-S/16 with its 43 000 channels. What is here returns the same, bit for bit.
"""

import numpy as np
from numpy.typing import NDArray

_LEVELS = 127.0
_LOWEST, _HIGHEST = -128, 127
_LEAST = float(np.finfo(np.float32).tiny)
_INT32_STEPS = float(2**32 - 2)
_MARGIN = 1.0001

Floats = NDArray[np.float32]


def usual_scales(weights: Floats, axis: int) -> Floats:
    """Compute the scales that ``compute_data_quant_params`` would, for symmetric int8.

    Args:
        weights: Finite.
        axis: Of the channels, not below 0.

    Returns:
        ``[channels]``: the largest magnitude over 127, computed in float64; 1 where that is below
        float32's least normal value.
    """
    others = tuple(other for other in range(weights.ndim) if other != axis)
    # Unlike abs, minima and maxima take no copy of the weights.
    largest = np.maximum(
        weights.max(axis=others, initial=0.0), -weights.min(axis=others, initial=0.0)
    )
    scales = largest.astype(np.float64) / _LEVELS
    return np.where(scales < _LEAST, 1.0, scales).astype(np.float32)


def round_channels(weights: Floats, scales: Floats, axis: int) -> NDArray[np.int8]:
    """Quantize as ``quantize_onnx_initializer`` would, with zero points of 0.

    Args:
        weights: Finite.
        scales: ``[channels]``, above zero.
        axis: Of the channels, not below 0.

    Returns:
        Of the weights' shape; halves are rounded to even.
    """
    shape = [1] * weights.ndim
    shape[axis] = -1
    steps = weights / scales.reshape(shape)
    np.rint(steps, out=steps)
    np.clip(steps, _LOWEST, _HIGHEST, out=steps)
    return steps.astype(np.int8)


def raise_for_biases(scales: Floats, input_scale: float, biases: Floats) -> Floats:
    """Raise scales as ``_adjust_weight_scale_for_int32_bias`` would, so that biases fit int32.

    Args:
        scales: ``[channels]``, of the weights.
        input_scale: Of what their node reads, a float32 number.
        biases: ``[channels]``.

    Returns:
        ``[channels]``: those that were given where the bias fits.
    """
    least = _MARGIN * (2.0 * np.abs(biases)) / np.float64(_INT32_STEPS)
    found = input_scale * scales.astype(np.float64)
    is_raised = (found < least) & (found > 0.0)
    ratios = np.divide(least, found, out=np.ones_like(found), where=is_raised)
    return np.where(is_raised, scales.astype(np.float64) * ratios, scales).astype(np.float32)
