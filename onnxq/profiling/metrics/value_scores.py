"""How near an output is to targets of its own shape: mae, mse, rmse, R2, cosine, psnr."""

from collections.abc import Callable, Iterator

import numpy as np

from onnxq.arrays import Array
from onnxq.metric_choices import Measure
from onnxq.profiling.metrics.readings import RowValues, row_slices
from onnxq.profiling.metrics.scores import Scores, Sums, Totals, ValuedRows, totals_by_cell

PSNR_MOST_DB = 200.0
"""Stands for equality."""

_EIGHT_BITS = 255.0


def score_values(measure: Measure, outputs: Array, targets: Array, seed: int) -> Scores:
    """Compute a measure of nearness.

    Args:
        measure: ``mae``, ``mse`` and ``cosine`` are worth something on each row: the mean over
            its elements, or the cosine of the angle between the row's two vectors (0 where one
            of them is 0, 1 where both are). ``rmse`` is the root of the mean over all rows.
            ``r2`` is 1 - squared errors over squared deviations of the targets from the mean
            over rows of their element, both summed over all elements.
        outputs: The output, ``[N, ...]``.
        targets: As many elements per row.
        seed: Of the dealing of rows into cells.

    Returns:
        What the rows are worth, or the measure as a function of totals.
    """
    match measure:
        case "mae":
            errors = absolute_error(outputs, targets)
            return ValuedRows(errors, float(errors.max()))
        case "mse":
            errors = squared_error(outputs, targets)
            return ValuedRows(errors, float(errors.max()))
        case "cosine":
            values = cosine_similarity(outputs, targets)
            return ValuedRows(values, float(np.ptp(values)) or 1.0)
        case "rmse":
            return _of_squares(squared_error(outputs, targets), np.sqrt, (0.0, np.inf), seed)
        case "r2":
            return _r2(outputs, targets, seed)


def score_psnr(peak: float, outputs: Array, targets: Array, seed: int) -> Totals:
    """Compute the peak signal to noise ratio of the squared error over all rows.

    Args:
        peak: The largest value that there can be.
        outputs: The output, ``[N, ...]``.
        targets: As many elements per row.
        seed: Of the dealing of rows into cells.

    Returns:
        10 log10(peak^2 / mean squared error) in dB as a function of totals, at most
        :data:`PSNR_MOST_DB`.
    """
    least = peak**2 * 10 ** (-PSNR_MOST_DB / 10)

    def decibels(errors: RowValues) -> RowValues:
        return np.asarray(10 * np.log10(peak**2 / np.maximum(errors, least)), np.float64)

    return _of_squares(squared_error(outputs, targets), decibels, (-np.inf, PSNR_MOST_DB), seed)


def peak_of(targets: Array) -> float:
    """Tell the largest value that there can be from the targets.

    Args:
        targets: ``[N, ...]``.

    Returns:
        1 where all of them lie in 0..1, 255 where they lie in 0..255, else their range.
    """
    low, high = float(targets.min()), float(targets.max())
    if low >= 0 and high <= _EIGHT_BITS:
        return 1.0 if high <= 1 else _EIGHT_BITS
    return high - low


def absolute_error(outputs: Array, targets: Array) -> RowValues:
    """Return the absolute error of each row, its mean over the row's elements.

    Args:
        outputs: ``[N, ...]``.
        targets: As many elements per row.

    Returns:
        ``[N]``.
    """
    pairs = _pairs(outputs, targets)
    return np.concatenate([np.abs(found - wanted).mean(axis=1) for found, wanted in pairs])


def squared_error(outputs: Array, targets: Array) -> RowValues:
    """Return the squared error of each row, its mean over the row's elements.

    Args:
        outputs: ``[N, ...]``.
        targets: As many elements per row.

    Returns:
        ``[N]``.
    """
    pairs = _pairs(outputs, targets)
    return np.concatenate([((found - wanted) ** 2).mean(axis=1) for found, wanted in pairs])


def cosine_similarity(outputs: Array, targets: Array) -> RowValues:
    """Return the cosine of the angle between each row's output and target.

    Args:
        outputs: ``[N, ...]``.
        targets: As many elements per row.

    Returns:
        ``[N]``, -1 to 1.
    """
    return np.concatenate([_cosines(*pair) for pair in _pairs(outputs, targets)])


def _cosines(found: Sums, wanted: Sums) -> RowValues:
    product = (found * wanted).sum(axis=1)
    sizes = np.sqrt((found**2).sum(axis=1)), np.sqrt((wanted**2).sum(axis=1))
    norms = sizes[0] * sizes[1]
    none = (sizes[0] == sizes[1]).astype(np.float64)
    cosines = np.where(norms > 0, product / np.where(norms > 0, norms, 1), none)
    return np.asarray(np.clip(cosines, -1, 1), np.float64)


def _of_squares(
    errors: RowValues,
    value_of: Callable[[RowValues], RowValues],
    bounds: tuple[float, float],
    seed: int,
) -> Totals:
    return Totals(
        sums=totals_by_cell(np.stack([errors, np.ones(errors.size)], axis=1), seed),
        value_of=lambda sums: value_of(sums[:, 0] / np.maximum(sums[:, 1], 1)),
        marks=errors,
        imperfect=errors.size,
        effect=0.0,
        bounds=bounds,
    )


def _r2(outputs: Array, targets: Array, seed: int) -> Totals:
    """The mean of the targets stays that of all rows when rows are resampled."""
    errors = squared_error(outputs, targets)
    centre = np.mean(targets, axis=0, dtype=np.float64, keepdims=True)
    spread = squared_error(targets, np.broadcast_to(centre, targets.shape))

    def value_of(sums: Sums) -> RowValues:
        spread = np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
        return np.asarray(1 - sums[:, 0] / spread, np.float64)

    return Totals(
        sums=totals_by_cell(np.stack([errors, spread], axis=1), seed),
        value_of=value_of,
        marks=errors,
        imperfect=errors.size,
        effect=0.0,
        bounds=(-np.inf, 1.0),
    )


def _pairs(outputs: Array, targets: Array) -> Iterator[tuple[Sums, Sums]]:
    """Read rows of both as flat float64 vectors, a piece at a time."""
    for part in row_slices(outputs):
        found = np.asarray(outputs[part], np.float64)
        flat = found.reshape(found.shape[0], -1)
        yield flat, np.asarray(targets[part], np.float64).reshape(flat.shape)
