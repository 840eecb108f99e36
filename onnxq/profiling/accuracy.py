"""The stage that judges a candidate's outputs beside the float model's."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from onnxq.arrays import Array
from onnxq.distributions import binomial_tail
from onnxq.errors import InferenceError
from onnxq.estimates import mean_over_rows, paired_drop, paired_mean_difference, wilson
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.measurements import Accuracy, Agreement, Compared, Judged, NoClasses, Unjudged
from onnxq.profiling.agreement import (
    compare_output,
    finite_rows,
    guess_classes,
    is_constant,
    same_first_class,
)
from onnxq.profiling.metrics import (
    Classifying,
    Metric,
    SquaredError,
    choose_metric,
    class_labels,
    first_class,
    row_slices,
    squared_error,
    top1,
)
from onnxq.stages import JudgeRequest, JudgeResult

CHANCE_LEVEL = 0.01
"""Of the one-sided test that a model is better than guessing."""

LOPSIDED = 0.8
"""Share of the commonest class above which beating it is no fair test of a model."""

LEAST_ROWS = 20
"""Fewer rows say nothing about guessing."""

LEAST_SQNR_DB = 10.0
LEAST_SAME_TOP1 = 0.9
"""Below these an agreement with the float model is worth a warning."""

_LIVELY = 0.01
_ROWS_THAT_VARY = 20


def judge(request: JudgeRequest, folder: Path, tell: Tell) -> JudgeResult:  # noqa: ARG001 - the signature of a stage
    """Judge outputs against labels, where there are any, and beside the float model's.

    The float model itself may be judged beside itself: its drop is 0, with the interval that
    so many rows allow.

    Args:
        request: Paths of both models' outputs, and the rows.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        What the outputs are worth. Outputs that are not finite where the float model's are,
        or the same on all rows where the float model's are not, are unusable and not compared.

    Raises:
        DatasetError: If the labels fit no output, or are out of range.
        InferenceError: If the two models' outputs are not of the same names and shapes.
    """
    outputs, reference = _load(request.outputs), _load(request.reference)
    _check_alike(outputs, reference)
    unusable = _why_unusable(outputs, reference)
    if unusable:
        return JudgeResult(quality=Unjudged(), unusable=unusable, at_chance=False, findings=())
    if not request.labelled:
        inputs = _row_shapes(request.rows.rows.inputs)
        agreement = _agreement(guess_classes(reference, inputs), outputs, reference)
        return JudgeResult(
            quality=Compared(agreement=agreement),
            unusable="",
            at_chance=False,
            findings=_findings(request.alias, agreement),
        )
    return _judge_labelled(request, outputs, reference)


def _judge_labelled(
    request: JudgeRequest, outputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> JudgeResult:
    rows = request.rows.rows
    labels = np.load(rows.labels, mmap_mode="r", allow_pickle=False)
    names = msgspec.json.decode(Path(rows.row_names).read_bytes(), type=list[str])
    metric = choose_metric(reference, labels, names)
    found, expected = outputs[metric.output], reference[metric.output]
    classifying = NoClasses() if isinstance(metric, SquaredError) else metric
    agreement = _agreement(classifying, outputs, reference)
    accuracy = _accuracy(metric, found, expected, labels, request.seed)
    return JudgeResult(
        quality=Judged(accuracy=accuracy, agreement=agreement),
        unusable="",
        at_chance=not isinstance(metric, SquaredError) and is_at_chance(metric, found, labels),
        findings=_findings(request.alias, agreement),
    )


def is_at_chance(metric: Classifying, outputs: Array, labels: Array) -> bool:
    """Say whether a model classifies no better than guessing.

    It is at chance if it is not right significantly (:data:`CHANCE_LEVEL`) more often than the
    commonest class is on these rows: an exact, one-sided binomial test. Two exceptions keep good
    models from being stopped. Where even a perfect score would not be significant, because the
    rows are few or of one class, nothing can be told and the answer is no. And where the
    commonest class is above :data:`LOPSIDED`, it is enough to be right more often than the same
    answers would be if they had nothing to do with the labels (the expectation in Cohen's kappa,
    1960): there a useful model need not beat the commonest class. Below :data:`LEAST_ROWS` rows
    nothing is told either; and a model that is right less than half as often as the commonest
    class is at chance whatever the test can show.

    Args:
        metric: How classes are read from the output.
        outputs: The output, ``[N, ...]``.
        labels: The rows' labels.

    Returns:
        Whether it only guesses.
    """
    answers, truth = first_class(metric, outputs), class_labels(labels)
    rows, right = truth.size, int((answers == truth).sum())
    classes, counts = np.unique(truth, return_counts=True)
    commonest = float(counts.max()) / rows
    if rows < LEAST_ROWS:
        return False
    if binomial_tail(rows, rows, commonest) > CHANCE_LEVEL:
        return right < rows * commonest / 2
    bar = commonest
    if commonest > LOPSIDED:
        answered = np.array([(answers == label).sum() for label in classes])
        bar = float((counts * answered).sum()) / rows**2
    return binomial_tail(right, rows, bar) > CHANCE_LEVEL


def _accuracy(metric: Metric, found: Array, expected: Array, labels: Array, seed: int) -> Accuracy:
    if isinstance(metric, SquaredError):
        errors, reference_errors = squared_error(found, labels), squared_error(expected, labels)
        differences, scale = errors - reference_errors, float(reference_errors.max())
        return Accuracy(
            metric="mse",
            higher_is_better=False,
            value=mean_over_rows(errors, seed=seed),
            drop=paired_mean_difference(differences, seed=seed, scale=scale),
            discordant_rows=int(np.count_nonzero(differences)),
        )
    right, reference_right = top1(metric, found, labels), top1(metric, expected, labels)
    return Accuracy(
        metric="top1",
        higher_is_better=True,
        value=wilson(int(right.sum()), right.size),
        drop=paired_drop(reference_right, right),
        discordant_rows=int((right != reference_right).sum()),
    )


def _agreement(
    metric: Classifying | NoClasses, outputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> Agreement:
    compared = tuple(
        compare_output(name, outputs[name], array)
        for name, array in reference.items()
        if array.dtype.kind in "iufb"
    )
    rows = max((array.shape[0] for array in reference.values() if array.ndim), default=0)
    same = (
        metric
        if isinstance(metric, NoClasses)
        else same_first_class(metric, outputs[metric.output], reference[metric.output])
    )
    return Agreement(rows=rows, same_top1=same, outputs=compared)


def _load(paths: Mapping[str, str]) -> dict[str, Array]:
    return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()}


def _row_shapes(paths: Mapping[str, str]) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape[1:] for array in _load(paths).values())


def _check_alike(outputs: Mapping[str, Array], reference: Mapping[str, Array]) -> None:
    found = {name: (str(array.dtype), list(array.shape)) for name, array in outputs.items()}
    expected = {name: (str(array.dtype), list(array.shape)) for name, array in reference.items()}
    if found != expected:
        message = f"two models cannot be compared: found outputs {found}, expected {expected}."
        hint = "Leave this recipe out with -r, and report the model to onnxq."
        raise InferenceError(message, code="OQ173", hint=hint)


def _why_unusable(outputs: Mapping[str, Array], reference: Mapping[str, Array]) -> str:
    """Say why outputs are worthless; empty where they are not."""
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


def _fix(alias: str) -> str:
    """Say what helps: dynamic recipes compute their ranges from each input, not from rows."""
    if alias == "int8-dynamic" or alias.startswith("dynamic"):
        return "Take another recipe: a dynamic one has no calibration to improve."
    return "Calibrate on more typical rows, or take another recipe."


def _findings(subject: str, agreement: Agreement) -> tuple[Finding, ...]:
    found = [
        Finding(
            code="OQ402",
            subject=subject or one.output,
            message=(
                f"output {one.output!r} agrees little with the float model: its signal to noise "
                f"ratio is {one.sqnr_db:.1f} dB (each output element's mean over the rows taken "
                f"off), expected {LEAST_SQNR_DB:.0f} or more."
            ),
            evidence={"output": one.output, "sqnr_db": one.sqnr_db},
            fix=_fix(subject),
            severity="warning",
        )
        for one in agreement.outputs
        if one.sqnr_db < LEAST_SQNR_DB
    ]
    same = agreement.same_top1
    if not isinstance(same, NoClasses) and same.value < LEAST_SAME_TOP1:
        message = (
            f"it names the float model's first class on {same.value:.1%} of {same.n} rows only, "
            f"expected {LEAST_SAME_TOP1:.0%} or more."
        )
        found.append(
            Finding(
                code="OQ402",
                subject=subject,
                message=message,
                evidence={"same_top1": same.value},
                fix=_fix(subject),
                severity="warning",
            )
        )
    return tuple(found)
