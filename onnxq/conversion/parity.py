"""The proof that an export computes what its source computes."""

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.conversion.parity_probes import Probe, make_probes
from onnxq.conversion.tolerances import FLOAT32, Tolerance
from onnxq.errors import ConversionError, InferenceError, ParityError
from onnxq.reports import Parity, ParityProbe
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature

_LEAST_RMS = 1e-3
"""A reference below this root mean square counts as this large: where an output is all but zero,
rounding is all that is left of it."""

_HINT = (
    "The file is not the model that you gave. Convert it another way, or look at it all the same"
    " with --no-check (and please report it)."
)


def check_parity(  # noqa: PLR0913 - one keyword a part of the question
    reference: Predict,
    export: Predict,
    signature: Signature,
    rows: dict[str, Array],
    *,
    traced_rows: int,
    seed: int,
    declared: tuple[InputDeclaration, ...],
    tolerance: Tolerance = FLOAT32,
    probes: tuple[Probe, ...] = (),
) -> Parity:
    """Compare an export with its source on batches that neither was traced at.

    For every output, the largest absolute difference and the norm of the difference are held to
    the tolerance. Values that are not finite must be the same at the same places.

    Args:
        reference: The source, run by its own framework.
        export: The ONNX model, run by onnxruntime.
        signature: Of the export.
        rows: An array by each input's name, axis 0 being rows; empty where there are none.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        seed: Of random values and of the choice of rows.
        declared: Sizes of free axes and values of integers, used where there are no rows.
        tolerance: How far they may be apart.
        probes: What to compare on, if not on probes that are made here.

    Returns:
        Every comparison that was made.

    Raises:
        ParityError: If the export computes something else, or fails where the source does not.
        ConversionError: If the source itself fails.
        SourceError: If there are no rows, and an input's sizes or integers are not known.
    """
    compared: list[ParityProbe] = []
    made = make_probes(signature, rows, declared, traced_rows=traced_rows, seed=seed)
    for probe in probes or made:
        expected = answer_probe(reference, probe)
        if not expected:
            continue  # the source has no answer here, so there is nothing to compare
        found = _run_export(export, probe)
        names = [spec.name for spec in signature.outputs]
        if set(expected) != set(names):
            message = f"The export gives the outputs {names}, the source gives {list(expected)}."
            raise ParityError(message, code="OQ152", hint=_HINT)
        try:
            compared += [
                compare_output(name, expected[name], found[name], probe, tolerance)
                for name in names
            ]
        except ParityError as error:
            _check_repeatable(reference, expected, probe, tolerance, error)
            raise
    return Parity(probes=tuple(compared), tolerance=tolerance.reason, limit=tolerance.relative_l2)


def answer_probe(reference: Predict, probe: Probe) -> dict[str, Array]:
    """Ask a source for its outputs.

    Args:
        reference: The source, run by its own framework.
        probe: What it is fed.

    Returns:
        An array by each output's name; none where the source refuses a probe that it may refuse.

    Raises:
        ConversionError: If it fails on another (OQ151).
    """
    try:
        return reference(probe.inputs)
    except Exception as error:  # a framework raises whatever the model's own code raises
        if probe.derived:
            return {}
        message = f"The source failed {_where(probe)}: {type(error).__name__}: {error}"
        hint = "Declare its inputs as it was trained:  --input NAME:SHAPE[:dtype[:lo..hi]]"
        raise ConversionError(message, code="OQ151", hint=hint) from error


def compare_output(
    name: str, expected: Array, found: Array, probe: Probe, tolerance: Tolerance = FLOAT32
) -> ParityProbe:
    """Compare one output.

    Args:
        name: The output's.
        expected: What the source gives.
        found: What the export gives.
        probe: What both were fed.
        tolerance: How far they may be apart.

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
    return _within(tolerance, name, expected[finite], found[finite], probe)


def _within(
    tolerance: Tolerance, name: str, expected: Array, found: Array, probe: Probe
) -> ParityProbe:
    difference = np.abs(found - expected)
    largest = float(difference.max(initial=0.0))
    limit = tolerance.largest * max(1.0, float(np.abs(expected).max(initial=0.0)))
    least = _LEAST_RMS * np.sqrt(max(1, expected.size))
    relative = float(np.linalg.norm(difference) / max(np.linalg.norm(expected), least))
    if largest > limit or relative > tolerance.relative_l2:
        message = (
            f"Output {name!r} {_where(probe)} differs by up to {largest:.2g} "
            f"(limit {limit:.2g}), relative L2 {relative:.2g} "
            f"(limit {tolerance.relative_l2:.0e})."
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
    reference: Predict,
    expected: dict[str, Array],
    probe: Probe,
    tolerance: Tolerance,
    error: ParityError,
) -> None:
    """Say so where the source itself computes something else each time."""
    again = reference(probe.inputs)
    for name, array in expected.items():
        try:
            compare_output(name, array, again[name], probe, tolerance)
        except ParityError:
            message = f"Output {name!r} of the source differs from run to run: it is random, or "
            message += "remembers what it was fed before."
            hint = (
                "Make it repeatable (no dropout, noise or counters at inference), or skip with "
                "--no-check."
            )
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
