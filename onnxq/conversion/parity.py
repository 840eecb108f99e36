"""The proof that an export computes what its source computes."""

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.conversion.parity_probes import Probe, make_probes
from onnxq.errors import ConversionError, InferenceError, ParityError
from onnxq.reports import Parity, ParityProbe
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature

TOLERANCE = 1e-4
"""Of the largest difference, times max(1, the largest reference value), and of relative L2."""

_LEAST_RMS = 1e-3
"""A reference below this root mean square counts as this large: where an output is all but zero,
rounding is all that is left of it."""

_HINT = (
    "The file is not the model that you gave. Convert it another way, or look at it all the same"
    " with --no-check (and please report it)."
)


def check_parity(
    reference: Predict,
    export: Predict,
    signature: Signature,
    rows: dict[str, Array],
    *,
    traced_rows: int,
    seed: int,
    declared: tuple[InputDeclaration, ...],
) -> Parity:
    """Compare an export with its source on batches that neither was traced at.

    For every output, the largest absolute difference may be 1e-4 times the larger of 1 and the
    largest reference value, and the norm of the difference 1e-4 of the reference's. Values that
    are not finite must be the same at the same places.

    Args:
        reference: The source, run by its own framework.
        export: The ONNX model, run by onnxruntime.
        signature: Of the export.
        rows: An array by each input's name, axis 0 being rows; empty where there are none.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        seed: Of random values and of the choice of rows.
        declared: Sizes of free axes and values of integers, used where there are no rows.

    Returns:
        Every comparison that was made.

    Raises:
        ParityError: If the export computes something else, or fails where the source does not.
        ConversionError: If the source itself fails.
        SourceError: If there are no rows, and an input's sizes or integers are not known.
    """
    compared: list[ParityProbe] = []
    for probe in make_probes(signature, rows, declared, traced_rows=traced_rows, seed=seed):
        try:
            expected = reference(probe.inputs)
        except Exception as error:  # a framework raises whatever the model's own code raises
            if probe.derived:
                continue  # the source has no answer here, so there is nothing to compare
            message = f"The source failed {_where(probe)}: {type(error).__name__}: {error}"
            hint = "Declare its inputs as it was trained:  --input NAME:SHAPE[:dtype[:lo..hi]]"
            raise ConversionError(message, code="OQ151", hint=hint) from error
        found = _run_export(export, probe)
        names = [spec.name for spec in signature.outputs]
        if set(expected) != set(names):
            message = f"The export gives the outputs {names}, the source gives {list(expected)}."
            raise ParityError(message, code="OQ152", hint=_HINT)
        try:
            compared += [compare_output(name, expected[name], found[name], probe) for name in names]
        except ParityError as error:
            _check_repeatable(reference, expected, probe, error)
            raise
    return Parity(probes=tuple(compared))


def compare_output(name: str, expected: Array, found: Array, probe: Probe) -> ParityProbe:
    """Compare one output.

    Args:
        name: The output's.
        expected: What the source gives.
        found: What the export gives.
        probe: What both were fed.

    Returns:
        How far they are apart.

    Raises:
        ParityError: If that is further than the tolerance, or they differ in shape or dtype.
    """
    where = f"Output {name!r} {_where(probe)}"
    if expected.shape != found.shape or expected.dtype != found.dtype:
        message = (
            f"{where}: the export gives {found.dtype} {list(found.shape)}, "
            f"the source gives {expected.dtype} {list(expected.shape)}."
        )
        raise ParityError(message, code="OQ152", hint=_HINT)
    if not np.issubdtype(expected.dtype, np.number) and expected.dtype != np.bool_:
        expected, found = np.zeros(expected.shape), (expected != found).astype(np.float64)
    expected, found = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(expected)
    odd = ~finite | ~np.isfinite(found)
    if not np.array_equal(expected[odd], found[odd], equal_nan=True):
        message = f"{where}: values that are not finite stand at different places."
        raise ParityError(message, code="OQ152", hint=_HINT)
    return _within_tolerance(name, expected[finite], found[finite], probe)


def _within_tolerance(name: str, expected: Array, found: Array, probe: Probe) -> ParityProbe:
    difference = np.abs(found - expected)
    largest = float(difference.max(initial=0.0))
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    least = _LEAST_RMS * np.sqrt(max(1, expected.size))
    relative = float(np.linalg.norm(difference) / max(np.linalg.norm(expected), least))
    if largest > limit or relative > TOLERANCE:
        message = (
            f"Output {name!r} {_where(probe)} differs by up to {largest:.2g} "
            f"(limit {limit:.2g}), relative L2 {relative:.2g} (limit {TOLERANCE:.0e})."
        )
        raise ParityError(message, code="OQ152", hint=_HINT)
    return ParityProbe(
        output=name,
        batch_rows=probe.batch_rows,
        inputs=probe.kind,
        max_abs_difference=largest,
        relative_l2=relative,
    )


def _check_repeatable(
    reference: Predict, expected: dict[str, Array], probe: Probe, error: ParityError
) -> None:
    """Say so where the source itself computes something else each time."""
    again = reference(probe.inputs)
    for name, array in expected.items():
        try:
            compare_output(name, array, again[name], probe)
        except ParityError:
            message = f"Output {name!r} of the source differs from run to run: it is random."
            hint = "Make it repeatable (no dropout or noise at inference), or skip with --no-check."
            raise ParityError(message, code="OQ152", hint=hint) from error


def _run_export(export: Predict, probe: Probe) -> dict[str, Array]:
    try:
        return export(probe.inputs)
    except InferenceError as error:
        message = f"The export fails {_where(probe)}, where the source does not: {error.message}"
        raise ParityError(message, code="OQ152", hint=_HINT) from error


def _where(probe: Probe) -> str:
    kind = "rows" if probe.kind == "rows" else f"{probe.kind} inputs"
    return f"at batch {probe.batch_rows} on {kind}"
