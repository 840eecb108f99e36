"""Outputs that are worth nothing: not finite, or the same whatever is fed."""

from collections.abc import Iterator, Mapping

import numpy as np

from onnxq.arrays import Array
from onnxq.profiling.agreement import finite_rows, is_constant
from onnxq.profiling.metrics import row_slices

_LIVELY = 0.01
_ROWS_THAT_VARY = 20


def why_unusable(outputs: Mapping[str, Array], reference: Mapping[str, Array]) -> str:
    """Say why outputs are worthless.

    Args:
        outputs: A model's, by name.
        reference: The float model's.

    Returns:
        The reason; empty where they are not.
    """
    for reason in _broken_values(outputs, reference):
        return reason
    constant = {
        name: array
        for name, array in outputs.items()
        if array.dtype.kind == "f" and is_constant(array)
    }
    for name, array in constant.items():
        if _is_lively(reference[name]):
            rows = array.shape[0]
            return f"output {name!r} is the same on all {rows} rows, unlike the float model's"
    rows = min((array.shape[0] for array in constant.values()), default=0)
    if len(constant) == len(outputs) and rows >= _ROWS_THAT_VARY:
        return f"every output is the same on all {rows} rows"
    return ""


def _broken_values(outputs: Mapping[str, Array], reference: Mapping[str, Array]) -> Iterator[str]:
    """Find NaNs, and infinities that the float model does not have in the same places."""
    for name, array in outputs.items():
        if array.dtype.kind != "f" or not array.ndim:
            continue
        for part in row_slices(array):
            found, expected = np.asarray(array[part]), np.asarray(reference[name][part])
            broken = np.argwhere(~np.isfinite(found) & (found != expected))
            if broken.size:
                row = part.start + int(broken[0][0])
                value = found[tuple(broken[0])]
                yield f"output {name!r} holds values that are not finite: {value} on row {row}"
                break


def _is_lively(reference: Array) -> bool:
    """Whether the float model's output changes from row to row by more than saturation explains.

    A saturated probability that rounds to the same integer on every row is no dead output.
    """
    pieces = [finite_rows(reference, part) for part in row_slices(reference)]
    low = np.min([piece.min(axis=0) for piece in pieces], axis=0)
    high = np.max([piece.max(axis=0) for piece in pieces], axis=0)
    return bool((high - low).max() > _LIVELY * max(abs(low).max(), abs(high).max()))
