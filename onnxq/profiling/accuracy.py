"""The stage that judges a candidate's outputs beside the float model's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.row_arrays import open_row_arrays
from onnxq.datasets.values import StoredRows
from onnxq.errors import InferenceError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.measurements import (
    LEAST_SAME_TOP1,
    LEAST_SQNR_DB,
    Accuracy,
    Agreement,
    Compared,
    Judged,
    NoClasses,
    Unjudged,
)
from onnxq.metric_choices import UserMetric
from onnxq.profiling.agreement import compare_output, guess_classes, same_first_class
from onnxq.profiling.dead_outputs import why_unusable
from onnxq.profiling.estimating import estimate_accuracy
from onnxq.profiling.guessing import is_at_chance
from onnxq.profiling.metrics import (
    Classifying,
    NamedClasses,
    Reading,
    ScoredClasses,
    YesOrNo,
    choose_reading,
    make_metric,
    make_user_metric,
)
from onnxq.profiling.metrics.choosing import named_output
from onnxq.profiling.metrics.readings import without_unit_axes
from onnxq.profiling.metrics.user_metrics import UserCall, load_user_metric
from onnxq.stages import JUDGE, JudgeRequest, JudgeResult
from onnxq.user_code import importable_from, working_in
from onnxq.wording import share_words

_CALLS_TOLD_OF = 25

Outputs: TypeAlias = Mapping[str, Array]


def judge(request: JudgeRequest, folder: Path, tell: Tell) -> JudgeResult:  # noqa: ARG001 - the signature of a stage
    """Judge outputs against labels, where there are any, and beside the float model's.

    The float model itself may be judged beside itself: its drop is 0, with the interval that
    so many rows allow.

    Args:
        request: Paths of both models' outputs, and the rows.
        folder: Not written to.
        tell: Told how far a user's metric is.

    Returns:
        What the outputs are worth. Outputs that are not finite where the float model's are,
        or the same on all rows where the float model's are not, are unusable and not compared.

    Raises:
        UsageError: If there is no output of the name that was asked for.
        DatasetError: If the labels fit no output, or are out of range; if the metric is not
            defined on these rows, or a user's metric does not exist or fails.
        InferenceError: If the two models' outputs are not of the same names and shapes.
    """
    reference = _load(request.reference)
    outputs = _alike(_load(request.outputs), reference, request.compared_with)
    if request.output:
        named_output(reference, request.output)
    unusable = why_unusable(outputs, reference)
    if unusable:
        return _worthless(request.alias, unusable)
    if not request.labelled:
        classes = _guessed_classes(request, reference)
        agreement = _agreement(classes, outputs, reference)
        return JudgeResult(
            quality=Compared(agreement=agreement),
            unusable="",
            at_chance=False,
            findings=_findings(request, agreement),
        )
    return _judge_labelled(request, outputs, reference, tell)


def _worthless(alias: str, reason: str) -> JudgeResult:
    """Say it twice: whoever has no row for what is unusable still shows the finding."""
    finding = Finding(code="OQ401", subject=alias, message=f"{reason}.", severity="warning")
    return JudgeResult(quality=Unjudged(), unusable=reason, at_chance=False, findings=(finding,))


def _note_chance(alias: str) -> Finding:
    return Finding(
        code="OQ401",
        subject=alias,
        message="It scores no better on these rows than guessing does.",
        fix="Check the labels, and how rows were prepared in training: --preprocess.",
        severity="warning",
    )


@dataclass(frozen=True)
class _Measured:
    """An accuracy, which classes the outputs are read as, and what was noticed."""

    accuracy: Accuracy
    classes: Classifying | NoClasses
    at_chance: bool = False
    findings: tuple[Finding, ...] = ()


def _judge_labelled(
    request: JudgeRequest, outputs: Outputs, reference: Outputs, tell: Tell
) -> JudgeResult:
    rows = request.rows.rows
    labels = np.load(rows.labels, mmap_mode="r", allow_pickle=False)
    names = msgspec.json.decode(Path(rows.row_names).read_bytes(), type=list[str])
    if isinstance(request.metric, UserMetric):
        with importable_from(request.trusted_folders), working_in(request.working_folder):
            folders = request.trusted_folders
            call = load_user_metric(request.metric, folders, request.output, labels, names)
            measured = _measure_by_user(request, call, outputs, reference, tell)
    else:
        reading = choose_reading(reference, labels, request.metric, request.output, names)
        measured = _measure(request, reading, labels, outputs, reference)
    agreement = _agreement(measured.classes, outputs, reference)
    return JudgeResult(
        quality=Judged(accuracy=measured.accuracy, agreement=agreement),
        unusable="",
        at_chance=measured.at_chance,
        findings=(
            *measured.findings,
            *_findings(request, agreement),
            *([_note_chance(request.alias)] if measured.at_chance else []),
        ),
    )


def _measure(
    request: JudgeRequest, reading: Reading, labels: Array, outputs: Outputs, reference: Outputs
) -> _Measured:
    metric = make_metric(request.metric, reading, reference[reading.output], labels, request.seed)
    accuracy = estimate_accuracy(
        metric,
        metric.score(reference),
        metric.score(outputs),
        len(labels),
        request.seed,
        tick=lambda _done, _total: None,
    )
    if not isinstance(reading, ScoredClasses | YesOrNo | NamedClasses) or reading.positions:
        return _Measured(accuracy, NoClasses())
    return _Measured(accuracy, reading, is_at_chance(reading, outputs[reading.output], labels))


def _measure_by_user(
    request: JudgeRequest, call: UserCall, outputs: Outputs, reference: Outputs, tell: Tell
) -> _Measured:
    """Measure by a user's function, of which is not known how it reads the output."""
    expected = call.score(reference)
    is_itself = request.outputs == request.reference
    metric = make_user_metric(request.metric, call, expected)
    accuracy = estimate_accuracy(
        metric,
        expected,
        expected if is_itself else call.score(outputs),
        len(call.labels),
        request.seed,
        tick=partial(_tell_some, tell),
    )
    findings = () if call.has_direction or not is_itself else (_undirected(metric.name),)
    return _Measured(accuracy, _guessed_classes(request, reference), findings=findings)


def _tell_some(tell: Tell, done: int, total: int) -> None:
    if done == total or not done % _CALLS_TOLD_OF:
        tell(Progressed(JUDGE.name, done, total))


def _guessed_classes(request: JudgeRequest, reference: Outputs) -> ScoredClasses | NoClasses:
    inputs = _row_shapes(request.rows.rows)
    asked = {request.output: reference[request.output]} if request.output else reference
    return guess_classes(asked, inputs)


def _undirected(metric: str) -> Finding:
    function = metric.rpartition(":")[2]
    return Finding(
        code="OQ135",
        subject=metric,
        message="It does not say whether higher is better; it is taken to be.",
        fix=f"{function}.higher_is_better = False  below the function, or True, to be clear.",
    )


def _agreement(classes: Classifying | NoClasses, outputs: Outputs, reference: Outputs) -> Agreement:
    compared = tuple(
        compare_output(name, outputs[name], array)
        for name, array in reference.items()
        if array.dtype.kind in "iufb"
    )
    rows = max((array.shape[0] for array in reference.values() if array.ndim), default=0)
    same = (
        classes
        if isinstance(classes, NoClasses)
        else same_first_class(classes, outputs[classes.output], reference[classes.output])
    )
    return Agreement(rows=rows, same_top1=same, outputs=compared)


def _load(paths: Mapping[str, str]) -> dict[str, Array]:
    return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()}


def _row_shapes(rows: StoredRows) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one.shapes[0].tolist()) for one in open_row_arrays(rows).values())


def _alike(outputs: Outputs, reference: Outputs, compared_with: str) -> Outputs:
    """Return outputs in the reference's shapes; axes of size 1 and widths of dtypes may differ.

    Two exporters of one net write ``[N, 1]`` and ``[N]``; a float16 model answers in float16.
    """
    found = {name: _outline(array) for name, array in outputs.items()}
    expected = {name: _outline(array) for name, array in reference.items()}
    if found == expected:
        return {name: outputs[name].reshape(array.shape) for name, array in reference.items()}
    message = (
        f"its outputs cannot be compared with those of {compared_with}: found "
        f"{_described(outputs)}, expected {_described(reference)}."
    )
    hint = "Models side by side answer alike: export them with the same outputs and layout."
    raise InferenceError(message, code="OQ173", hint=hint)


def _outline(array: Array) -> tuple[bool, tuple[int, ...]]:
    return array.dtype.kind == "f", without_unit_axes(array).shape


def _described(outputs: Outputs) -> str:
    return ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in outputs.items())


def _fix(alias: str) -> str:
    """Say what helps: dynamic recipes compute their ranges from each input, not from rows."""
    if alias == "int8-dynamic" or alias.startswith("dynamic"):
        return "Take another recipe: a dynamic one has no calibration to improve."
    return "Calibrate on more typical rows, or take another recipe."


def _findings(request: JudgeRequest, agreement: Agreement) -> tuple[Finding, ...]:
    subject, other = request.alias, request.compared_with
    found = [
        Finding(
            code="OQ402",
            subject=subject or one.output,
            message=(
                f"output {one.output!r} agrees little with {other}: its signal to noise "
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
            f"it names the first class of {other} on {share_words(same.value)} % of {same.n} rows "
            f"only, expected {LEAST_SAME_TOP1:.0%} or more."
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
