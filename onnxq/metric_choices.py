"""Which metric models are judged by: a small family of values, its text, and its units.

A metric's name parses back to it: ``parse_metric(metric_name(choice)) == choice``.
"""

import difflib
import math
import re
from typing import Literal, NoReturn, TypeAlias

from msgspec import Struct

from onnxq.errors import UsageError

Average: TypeAlias = Literal["", "macro", "micro", "weighted"]
Score: TypeAlias = Literal["f1", "precision", "recall"]
Measure: TypeAlias = Literal["mae", "mse", "rmse", "r2", "cosine"]
Scores: TypeAlias = Literal["", "logits", "probs"]

_SCORES: tuple[Score, ...] = ("f1", "precision", "recall")
_AVERAGES: tuple[Average, ...] = ("", "macro", "micro", "weighted")
_MEASURES: tuple[Measure, ...] = ("mae", "mse", "rmse", "r2", "cosine")
_READINGS: tuple[Scores, ...] = ("", "logits", "probs")
_PERCENTS = ("pp", "%")
_TOP = re.compile(r"top-?([1-9]\d{0,8})", re.ASCII)
_PEAK = re.compile(r"psnr-(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", re.ASCII)
_LISTED = ("top1", "top5", *_SCORES, "auroc", *_MEASURES, "psnr", "perplexity", "pkg.mod:fn")


class Automatic(Struct, frozen=True, tag="automatic"):
    """What the labels ask for: top-1 of classes, the mean squared error of targets."""


class TopK(Struct, frozen=True, tag="top"):
    """The share of rows whose class is among the ``k`` largest scores: a rate.

    Attributes:
        k: 1 or more.
    """

    k: int = 1

    def __post_init__(self) -> None:
        """Refuse a ``k`` below 1.

        Raises:
            ValueError: If it is.
        """
        if self.k < 1:
            message = f"top-{self.k} names no class"
            raise ValueError(message)


class ClassScore(Struct, frozen=True, tag="classes"):
    """F1, precision or recall of the class that each row is given.

    Attributes:
        score: Which.
        average: Over classes: ``macro`` is their mean, ``micro`` counts every row alike,
            ``weighted`` is their mean by number of rows. Empty: of class 1 where there are two
            classes, else ``macro``.
    """

    score: Score
    average: Average = ""


class Auroc(Struct, frozen=True, tag="auroc"):
    """The area under the receiver operating characteristic; one against the rest, macro."""


class ValueScore(Struct, frozen=True, tag="values"):
    """How near an output is to targets of its own shape.

    Attributes:
        measure: ``mae``, ``mse`` and ``cosine`` are means over rows; ``rmse`` and ``r2`` are of
            all rows together.
    """

    measure: Measure


class Psnr(Struct, frozen=True, tag="psnr"):
    """The peak signal to noise ratio in dB, of the squared error of all rows together.

    Attributes:
        peak: The largest value that there can be; 0 tells it from the targets: 1 where all of
            them lie in 0..1, 255 where they lie in 0..255, else their range.
    """

    peak: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a peak that no value reaches.

        Raises:
            ValueError: If it is negative or not finite.
        """
        if not 0 <= self.peak < math.inf:
            message = f"a peak is a finite number above 0: found {self.peak}"
            raise ValueError(message)


class Perplexity(Struct, frozen=True, tag="perplexity"):
    """exp(mean negative log-likelihood of the target class), over all positions of all rows.

    Attributes:
        scores: ``logits`` (log-probabilities are logits, too) or ``probs``; empty tells it from
            the float model's output: probabilities lie in 0..1 and sum to 1.
    """

    scores: Scores = ""


class UserMetric(Struct, frozen=True, tag="user"):
    """A function of the user's: ``fn(outputs, labels)``.

    Attributes:
        module: A dotted module, or the path of a ``.py`` file.
        function: Its name there.
    """

    module: str
    function: str


MetricChoice: TypeAlias = (
    Automatic | TopK | ClassScore | Auroc | ValueScore | Psnr | Perplexity | UserMetric
)


def metric_name(choice: MetricChoice) -> str:
    """Derive a metric's name.

    Args:
        choice: Any metric.

    Returns:
        Text that :func:`parse_metric` turns back into an equal choice; empty for
        :class:`Automatic`.
    """
    match choice:
        case Automatic():
            name = ""
        case TopK(k=k):
            name = f"top{k}"
        case ClassScore(score=score, average=average):
            name = _joined(score, average)
        case Auroc():
            name = "auroc"
        case ValueScore(measure=measure):
            name = measure
        case Psnr(peak=peak):
            name = _joined("psnr", f"{peak!r}".removesuffix(".0") if peak else "")
        case Perplexity(scores=scores):
            name = _joined("perplexity", scores)
        case UserMetric(module=module, function=function):
            name = f"{module}:{function}"
    return name


def parse_metric(text: str) -> MetricChoice:
    """Parse the metric that models are to be judged by.

    Args:
        text: Empty (told from labels and outputs), ``top1``, ``top5``, ``f1``, ``precision``,
            ``recall`` (each also with ``-macro``, ``-micro``, ``-weighted``), ``auroc``,
            ``mae``, ``mse``, ``rmse``, ``r2``, ``cosine``, ``psnr`` (or ``psnr-255``, with its
            peak), ``perplexity`` (or ``perplexity-logits``, ``perplexity-probs``),
            ``pkg.mod:fn`` or ``file.py:fn``.

    Returns:
        The metric.

    Raises:
        UsageError: OQ100, if it is none of these; near misses are suggested.
    """
    text = text.strip()
    if text in _NAMED:
        return _NAMED[text]
    if match := _TOP.fullmatch(text):
        return TopK(int(match[1]))
    if (match := _PEAK.fullmatch(text)) and 0 < float(match[1]) < math.inf:
        return Psnr(float(match[1]))
    return _user_metric(text)


def drop_units(choice: MetricChoice) -> tuple[str, ...]:
    """Return the units that a drop of a metric may be written in (``--max-drop``).

    Args:
        choice: The metric.

    Returns:
        ``pp`` and ``%`` for what runs from 0 to 1, the metric's own name (``db`` for psnr, the
        function's name for a user's), and ``%`` of the float model's value for an error.
    """
    match choice:
        case Automatic():
            return (*_PERCENTS, "mse")
        case TopK():
            return _PERCENTS
        case ClassScore() | Auroc():
            return (*_PERCENTS, own_unit(choice))
        case ValueScore(measure="r2" | "cosine") | Psnr():
            return (own_unit(choice),)
        case ValueScore() | Perplexity():
            return (own_unit(choice), "%")
        case UserMetric(function=function):
            return (*_PERCENTS, function)


def own_unit(choice: MetricChoice) -> str:
    """Return the unit of a metric's own scale: ``mse``, ``f1``, ``db``, a function's name."""
    match choice:
        case ClassScore(score=score):
            return score
        case Psnr():
            return "db"
        case Perplexity():
            return "perplexity"
        case UserMetric(function=function):
            return function
        case _:
            return metric_name(choice)


def spoken_name(choice: MetricChoice) -> str:
    """Return a metric's name in a sentence: ``top-1``, ``f1-macro``, a function's name alone."""
    match choice:
        case TopK(k=k):
            return f"top-{k}"
        case Psnr():
            return "psnr"
        case Perplexity():
            return "perplexity"
        case UserMetric(function=function):
            return function
        case _:
            return metric_name(choice)


def _joined(name: str, variant: str) -> str:
    return f"{name}-{variant}" if variant else name


def _user_metric(text: str) -> UserMetric:
    module, _, function = text.rpartition(":")
    is_file = module.endswith(".py") and module != ".py"
    is_module = all(part.isidentifier() for part in module.split("."))
    if not function.isidentifier() or not (is_file or is_module):
        _refuse(text)
    return UserMetric(module, function)


def _refuse(text: str) -> NoReturn:
    near = difflib.get_close_matches(text.lower(), _NAMED, n=1, cutoff=0.5)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(_LISTED)
    message = f"there is no metric {text!r}."
    hint = f"{guess}Metrics: {listed} (a function of yours, fn(outputs, labels))."
    raise UsageError(message, code="OQ100", hint=hint)


_CHOICES: tuple[MetricChoice, ...] = (
    Automatic(),
    TopK(1),
    TopK(5),
    *(ClassScore(score, average) for score in _SCORES for average in _AVERAGES),
    Auroc(),
    *(ValueScore(measure) for measure in _MEASURES),
    Psnr(),
    *(Perplexity(scores) for scores in _READINGS),
)
_NAMED = {metric_name(choice): choice for choice in _CHOICES}
