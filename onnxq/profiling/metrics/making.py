"""A metric that was asked for becomes one that is ready: what it leaves open is told here.

Everything is told from the float model's outputs and the labels, once, so that every candidate
is measured by the same rule.
"""

from collections.abc import Callable, Mapping

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import DatasetError
from onnxq.measurements import MetricScale
from onnxq.metric_choices import (
    Auroc,
    Automatic,
    ClassScore,
    MetricChoice,
    Perplexity,
    Psnr,
    TopK,
    ValueScore,
    metric_name,
)
from onnxq.profiling.metrics.auroc import score_auroc
from onnxq.profiling.metrics.class_scores import Averaging, score_classes
from onnxq.profiling.metrics.perplexity import score_perplexity
from onnxq.profiling.metrics.readings import (
    IGNORED,
    Classifying,
    NamedClasses,
    Reading,
    RowValues,
    ScoredClasses,
    Targets,
    YesOrNo,
    are_probabilities,
    class_labels,
    first_class,
    scores_of,
    without_unit_axes,
)
from onnxq.profiling.metrics.scores import Metric, RightRows, Scores
from onnxq.profiling.metrics.top_k import score_top_k
from onnxq.profiling.metrics.user_metrics import UserCall
from onnxq.profiling.metrics.value_scores import peak_of, score_psnr, score_values

_LOWER_IS_BETTER = frozenset({"mae", "mse", "rmse"})


def make_metric(
    choice: MetricChoice, reading: Reading, reference: Array, labels: Array, seed: int
) -> Metric:
    """Make a metric ready to be computed.

    Args:
        choice: What was asked for; not a user's function.
        reading: How the output is read beside the labels.
        reference: The float model's output.
        labels: Of the rows.
        seed: Of the dealing of rows into cells.

    Returns:
        The metric.

    Raises:
        DatasetError: If it cannot be computed by that reading of the output.
    """
    match choice, reading:
        case Automatic(), Targets():
            made = _of_values(ValueScore("mse"), reading, labels, seed)
        case ((ValueScore() | Psnr()), Targets()):
            made = _of_values(choice, reading, labels, seed)
        case Automatic(), (ScoredClasses() | YesOrNo() | NamedClasses()):
            made = _top_k(TopK(1), reading, labels, seed)
        case TopK(), (ScoredClasses() | YesOrNo() | NamedClasses()):
            made = _top_k(choice, reading, labels, seed)
        case ClassScore(), (ScoredClasses() | YesOrNo() | NamedClasses()):
            made = _class_score(choice, reading, reference, labels, seed)
        case Auroc(), (ScoredClasses() | YesOrNo()):
            made = _auroc(choice, reading, reference, labels, seed)
        case Perplexity(), ScoredClasses():
            made = _perplexity(choice, reading, reference, labels, seed)
        case _:
            message = f"{metric_name(choice)} cannot be computed by output {reading.output!r}."
            raise DatasetError(message, code="OQ134", hint="Take another metric: --metric top1")
    return made


def make_user_metric(choice: MetricChoice, call: UserCall, reference: Scores) -> Metric:
    """Make a metric of a user's function.

    Args:
        choice: What was asked for.
        call: The function.
        reference: What it says of the float model: true or false per row makes it a rate.

    Returns:
        The metric.
    """
    return Metric(
        name=metric_name(choice),
        higher_is_better=call.higher_is_better,
        scale="rate" if isinstance(reference, RightRows) else "own",
        score=call.score,
    )


def _metric(
    choice: MetricChoice,
    reading: Reading,
    scale: MetricScale,
    score: Callable[[Array], Scores],
    *,
    higher_is_better: bool = True,
) -> Metric:
    def of_output(outputs: Mapping[str, Array]) -> Scores:
        return score(outputs[reading.output])

    return Metric(metric_name(choice), higher_is_better, scale, of_output)


def _top_k(choice: TopK, reading: Classifying, labels: Array, seed: int) -> Metric:
    if isinstance(reading, ScoredClasses) and choice.k >= reading.classes:
        message = f"{metric_name(choice)} of {reading.classes} classes is always right."
        raise DatasetError(message, code="OQ134", hint="Take a smaller k: --metric top1")
    return _metric(
        choice, reading, "rate", lambda y: score_top_k(reading, choice.k, y, labels, seed)
    )


def _class_score(
    choice: ClassScore, reading: Classifying, reference: Array, labels: Array, seed: int
) -> Metric:
    truth = class_labels(labels, reading.positions)
    averaging: Averaging = choice.average or "macro"
    if not choice.average and _is_binary(reading, reference, labels):
        averaging = "binary"
    named = choice if averaging == "binary" else ClassScore(choice.score, averaging)

    def score(outputs: Array) -> Scores:
        answers = first_class(reading, outputs)
        return score_classes(choice.score, averaging, answers, truth, seed)

    return _metric(named, reading, "share", score)


def _is_binary(reading: Classifying, reference: Array, labels: Array) -> bool:
    """Whether there are two classes, so that class 1 is what is looked for."""
    match reading:
        case ScoredClasses(classes=classes):
            return classes == 2  # noqa: PLR2004 - two are binary
        case YesOrNo():
            return True
        case NamedClasses(positions=positions):
            numbers = first_class(reading, reference), class_labels(labels, positions)
            return all(set(np.unique(found)) <= {IGNORED, 0, 1} for found in numbers)


def _auroc(
    choice: Auroc, reading: ScoredClasses | YesOrNo, reference: Array, labels: Array, seed: int
) -> Metric:
    truth = class_labels(labels)
    as_logits = isinstance(reading, ScoredClasses) and not are_probabilities(reading, reference)

    def score(outputs: Array) -> Scores:
        return score_auroc(_ranked(reading, outputs, as_logits=as_logits), truth, seed)

    return _metric(choice, reading, "share", score)


def _ranked(reading: ScoredClasses | YesOrNo, outputs: Array, *, as_logits: bool) -> RowValues:
    """Return the scores that order rows.

    Of several classes they are probabilities: logits of one row share no zero with the next's.
    """
    if isinstance(reading, YesOrNo):
        return np.asarray(without_unit_axes(outputs), np.float64)
    scores = np.asarray(scores_of(reading, outputs), np.float64)
    if reading.classes == 2:  # noqa: PLR2004 - two are binary
        return np.asarray(scores[:, 1] - scores[:, 0], np.float64)
    if as_logits:
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = powers / powers.sum(axis=1, keepdims=True)
    return scores


def _perplexity(
    choice: Perplexity, reading: ScoredClasses, reference: Array, labels: Array, seed: int
) -> Metric:
    as_logits = choice.scores == "logits"
    if not choice.scores:
        as_logits = not are_probabilities(reading, reference)
    named = Perplexity("logits" if as_logits else "probs")

    def score(outputs: Array) -> Scores:
        return score_perplexity(reading, outputs, labels, as_logits=as_logits, seed=seed)

    return _metric(named, reading, "own", score, higher_is_better=False)


def _of_values(choice: ValueScore | Psnr, reading: Targets, labels: Array, seed: int) -> Metric:
    if isinstance(choice, Psnr):
        peak = choice.peak or peak_of(labels)
        if peak <= 0:
            message = "psnr needs a peak, and all targets are equal."
            raise DatasetError(message, code="OQ134", hint="Name the peak:  --metric psnr-255")
        named: MetricChoice = Psnr(peak)
        return _metric(named, reading, "own", lambda y: score_psnr(peak, y, labels, seed))
    measure = choice.measure
    return _metric(
        choice,
        reading,
        "own",
        lambda y: score_values(measure, y, labels, seed),
        higher_is_better=measure not in _LOWER_IS_BETTER,
    )
