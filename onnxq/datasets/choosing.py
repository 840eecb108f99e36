"""The rows that were chosen, and the shape that each of them has when it is fed.

Rows of one array may differ in shape where the model leaves these axes free: sequences of several
lengths, images of several sizes. What they are is told by their headers, before any is read.
"""

from dataclasses import dataclass, replace

import numpy as np

from onnxq.datasets.fitting import RowFit
from onnxq.datasets.layouts import changed_shape, fitting_ways, may_be_whole
from onnxq.datasets.misfits import ragged_misfit
from onnxq.datasets.opening import OpenRows
from onnxq.datasets.row_arrays import is_ragged, same_shapes
from onnxq.datasets.splitting import Indices
from onnxq.findings import Finding
from onnxq.tensors import TensorSpec


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Rows that are used; none was read.

    Attributes:
        opened: Where they come from, and how they are fed.
        indices: Which they are, ascending.
        shapes: The shape of each row as it is fed, int64 ``[rows, axes]``, for each fit.
    """

    opened: OpenRows
    indices: Indices
    shapes: tuple[Indices, ...]

    @property
    def stored_bytes(self) -> int:
        """Bytes that the rows take as they are fed."""
        return sum(
            int(shapes.prod(axis=1, dtype=np.int64).sum()) * fit.stored_dtype.itemsize
            for fit, shapes in zip(self.opened.fits, self.shapes, strict=True)
        )


def choose(opened: OpenRows, indices: Indices) -> ChosenRows:
    """Tell the shapes of some rows, and check that the model takes them.

    Args:
        opened: The rows.
        indices: Which are used, ascending; one at least.

    Returns:
        The rows with their shapes; rows that differ in shape are all fed in one way.

    Raises:
        DatasetError: OQ121, if rows differ in shape where the model does not leave them to; OQ126
            or OQ127, if a row cannot be used.
    """
    names = opened.origin.name_rows(indices)
    inputs = tuple(fit.wanted for fit in opened.fits)
    shaped = [
        _fit_shapes(fit, opened.origin.shapes_of(fit.array, indices), names, inputs)
        for fit in opened.fits
    ]
    fits = tuple(fit for fit, _ in shaped)
    return ChosenRows(replace(opened, fits=fits), indices, tuple(shapes for _, shapes in shaped))


def describe_shapes(chosen: ChosenRows) -> list[Finding]:
    """Say what is done where rows differ in shape, and where inputs have no batch axis."""
    fits, title = chosen.opened.fits, chosen.opened.title
    ragged = {
        fit.wanted.name: shapes
        for fit, shapes in zip(fits, chosen.shapes, strict=True)
        if is_ragged(shapes)
    }
    whole = [str(fit.wanted) for fit in fits if fit.is_whole]
    findings = [_differing(ragged, title)] if ragged else []
    if whole:
        message = (
            f"The model's {'inputs' if len(whole) > 1 else 'input'} {', '.join(whole)} "
            f"{'have' if len(whole) > 1 else 'has'} no batch axis: only rows with the same values "
            "there go through the model together."
        )
        findings.append(Finding(code="OQ137", subject=title, message=message))
    return findings


def _differing(ragged: dict[str, Indices], title: str) -> Finding:
    """Say that rows differ; the first input that does is shown."""
    shapes = next(iter(ragged.values()))
    sizes = shapes.prod(axis=1, dtype=np.int64)
    smallest, largest = (shapes[at].tolist() for at in (sizes.argmin(), sizes.argmax()))
    count = len(np.unique(shapes, axis=0))
    message = (
        f"Rows for {' and '.join(map(repr, ragged))} have {count} shapes, {smallest} to {largest}: "
        "only those of one shape go through the model together, and a row of median size is timed."
    )
    return Finding(
        code="OQ136",
        subject=title,
        message=message,
        evidence={"inputs": ", ".join(ragged), "shapes": count, "rows": len(shapes)},
    )


def _fit_shapes(
    fit: RowFit, given: Indices, names: list[str], inputs: tuple[TensorSpec, ...]
) -> tuple[RowFit, Indices]:
    """Return how rows are fed, all in one way, and the shape that each has then."""
    if not is_ragged(given) and tuple(given[0].tolist()) == fit.array.row_shape:
        return fit, same_shapes(fit.row_shape, len(given))
    distinct, firsts, which = np.unique(given, axis=0, return_index=True, return_inverse=True)
    shapes = [fit.preprocessed_shape(tuple(shape)) for shape in distinct.tolist()]
    whole = may_be_whole(fit.wanted, inputs)
    ways = [fitting_ways(shape, fit.wanted, may_be_whole=whole) for shape in shapes]
    first, *others = np.argsort(firsts).tolist()
    common = [way for way in ways[first] if all(way in other for other in ways)]
    if not common:
        odd = next(
            at for at in (first, *others) if not ways[at] or not {*ways[at]} & {*ways[first]}
        )
        pair = (first if odd != first else others[0], odd)
        raise ragged_misfit(
            fit.wanted,
            fit.array,
            tuple(tuple(distinct[at].tolist()) for at in pair),
            tuple(names[firsts[at]] for at in pair),
        )
    layout, is_whole = common[0]
    fed = np.array([changed_shape(shape, layout) for shape in shapes], np.int64)
    like = replace(fit, layout=layout, is_whole=is_whole)
    return like, fed.reshape(len(shapes), -1)[which.reshape(-1)]
