"""The rows that were chosen, and the shape that each of them has when it is fed.

Rows of one array may differ in shape where the model leaves these axes free: sequences of several
lengths, images of several sizes. What they are is told by their headers, before any is read.
"""

from dataclasses import dataclass, replace

import numpy as np

from onnxq.datasets.fitting import RowFit
from onnxq.datasets.layouts import Layout, Way, changed_shape, fitting_ways, may_be_whole
from onnxq.datasets.misfits import Shape, ragged_misfit
from onnxq.datasets.opening import OpenRows
from onnxq.datasets.row_arrays import is_ragged, same_shapes
from onnxq.datasets.splitting import Indices
from onnxq.errors import DatasetError
from onnxq.findings import Finding


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
    shaped = [_fit_shapes(opened, fit, indices) for fit in opened.fits]
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


def _fit_shapes(opened: OpenRows, fit: RowFit, indices: Indices) -> tuple[RowFit, Indices]:
    """Return how rows are fed, all in one way, and the shape that each has then."""
    given = opened.origin.shapes_of(fit.array, indices)
    if not is_ragged(given) and tuple(given[0].tolist()) == fit.array.row_shape:
        return fit, same_shapes(fit.row_shape, len(given))
    distinct, firsts, which = np.unique(given, axis=0, return_index=True, return_inverse=True)
    shapes = [fit.preprocessed_shape(tuple(shape)) for shape in distinct.tolist()]
    whole = may_be_whole(fit.wanted, tuple(one.wanted for one in opened.fits))
    every = (Way(layout, is_whole) for is_whole in (False, True) for layout in Layout)
    ways = (Way(fit.layout, fit.is_whole), *every)
    for at in np.argsort(firsts):  # the first row that does not fit is named
        mine = fitting_ways(shapes[at], fit.wanted, may_be_whole=whole)
        ways = tuple(way for way in ways if way in mine)
        if not ways:
            raise _misfit(opened, fit, tuple(distinct[at].tolist()), indices[[firsts[at]]])
    layout, is_whole = ways[0]
    fed = np.array([changed_shape(shape, layout) for shape in shapes], np.int64)
    like = replace(fit, layout=layout, is_whole=is_whole)
    return like, fed.reshape(len(shapes), -1)[which.reshape(-1)]


def _misfit(opened: OpenRows, fit: RowFit, shape: Shape, index: Indices) -> DatasetError:
    """Name a row that does not fit beside the first of all, which does."""
    names = opened.origin.name_rows(np.concatenate([[0], index]))
    shapes = (fit.array.row_shape, shape)
    return ragged_misfit(fit.wanted, fit.array, shapes, (names[0], names[1]))
