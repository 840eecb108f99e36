"""Agreement of a candidate's outputs with the float model's; no labels needed.

Outputs may be larger than memory: they are read in pieces, in two passes.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.estimates import Estimate, wilson
from onnxq.measurements import NoClasses, OutputAgreement
from onnxq.profiling.metrics import Classifying, ScoredClasses, first_class, row_slices

SQNR_MOST_DB = 200.0
"""Stands for equality, and bounds what can be said of unequal outputs."""

_Piece: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class _Sums:
    """Over the elements read so far: squares, products and absolute differences."""

    found: float = 0.0
    expected: float = 0.0
    product: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    difference: float = 0.0
    largest: float = 0.0

    def with_piece(self, found: _Piece, expected: _Piece, centre: _Piece) -> "_Sums":
        difference = np.abs(found - expected)
        return _Sums(
            found=self.found + float((found * found).sum()),
            expected=self.expected + float((expected * expected).sum()),
            product=self.product + float((found * expected).sum()),
            signal=self.signal + float(((expected - centre) ** 2).sum()),
            noise=self.noise + float((difference * difference).sum()),
            difference=self.difference + float(difference.sum()),
            largest=max(self.largest, float(difference.max(initial=0))),
        )


def compare_output(name: str, candidate: Array, reference: Array) -> OutputAgreement:
    """Measure how near an output is to the float model's.

    The signal is what the output tells about its rows: each element's mean over the rows is
    removed (with one row, the mean over its elements), so that 0 dB is as good as a constant.
    Positions where the float model's output is not finite, as masks make it, do not count.

    Args:
        name: The output's name.
        candidate: ``[N, ...]``, numbers.
        reference: The same shape.

    Returns:
        The agreement over all rows.
    """
    centre, sums = _centre(reference), _Sums()
    for found, expected in _pieces(candidate, reference):
        sums = sums.with_piece(found, expected, centre)
    norms = math.sqrt(sums.found) * math.sqrt(sums.expected)
    cosine = sums.product / norms if norms > 0 else float(sums.found == sums.expected)
    return OutputAgreement(
        output=name,
        sqnr_db=_decibels(sums.signal or sums.expected, sums.noise),
        cosine=min(max(cosine, -1.0), 1.0),
        mean_abs_difference=sums.difference / max(reference.size, 1),
        max_abs_difference=sums.largest,
    )


def same_first_class(metric: Classifying, candidate: Array, reference: Array) -> Estimate:
    """Estimate the share of rows to which both models give the same class.

    Args:
        metric: How classes are read from the output.
        candidate: Its output, ``[N, ...]``.
        reference: The float model's.

    Returns:
        The share, with Wilson's interval.
    """
    same = first_class(metric, candidate) == first_class(metric, reference)
    return wilson(int(same.sum()), same.size)


def guess_classes(
    reference: Mapping[str, Array], input_rows: Collection[tuple[int, ...]] = ()
) -> ScoredClasses | NoClasses:
    """Say which output holds class scores, where there are no labels to tell.

    Args:
        reference: The float model's outputs, by name.
        input_rows: Shapes of one row of the inputs. An output that is shaped like an input, as
            an autoencoder's is, holds no scores.

    Returns:
        The only output of floats of shape ``[N, C]`` (axes of size 1 left out), if there is one.
    """
    found = []
    for name, array in reference.items():
        sizes = [size for size in array.shape[1:] if size != 1]
        if array.shape[1:] in input_rows:
            continue
        if array.dtype.kind == "f" and len(sizes) == 1 and array.shape[0]:
            found.append(ScoredClasses(name, sizes[0]))
    return found[0] if len(found) == 1 else NoClasses()


def is_constant(array: Array) -> bool:
    """Whether every row is the same; False where there are fewer than two."""
    if array.ndim == 0 or array.shape[0] <= 1 or not array.size:
        return False
    first = np.asarray(array[0])
    return all(bool((array[part] == first).all()) for part in row_slices(array))


def finite_rows(array: Array, part: slice) -> _Piece:
    """Read rows with 0 in place of what is not finite.

    Args:
        array: ``[N, ...]``.
        part: Of axis 0.

    Returns:
        The rows as float64.
    """
    rows = np.asarray(array[part], np.float64)
    return np.where(np.isfinite(rows), rows, 0)


def _pieces(candidate: Array, reference: Array) -> Iterator[tuple[_Piece, _Piece]]:
    if reference.ndim == 0:
        candidate, reference = candidate.reshape(1), reference.reshape(1)
    for part in row_slices(reference):
        found = np.asarray(candidate[part], np.float64)
        yield np.where(np.isfinite(reference[part]), found, 0), finite_rows(reference, part)


def _centre(reference: Array) -> _Piece:
    total = np.zeros(reference.shape[1:])
    for _, expected in _pieces(reference, reference):
        total = total + expected.sum(axis=0)
    rows = reference.shape[0] if reference.ndim else 1
    if rows > 1 or not total.size:
        return total / max(rows, 1)
    return np.full(total.shape, total.mean())


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return SQNR_MOST_DB
    if signal == 0:
        return -SQNR_MOST_DB
    level = 10 * (math.log10(signal) - math.log10(noise))
    return min(max(level, -SQNR_MOST_DB), SQNR_MOST_DB)
