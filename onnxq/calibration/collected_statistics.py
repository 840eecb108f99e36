"""Statistics with what they are of, so that parts of them can be put together again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from msgspec import Struct

from onnxq.calibration.statistics import Flags, TensorStatistics
from onnxq.errors import DatasetError, UsageError

STATISTICS_VERSION: Final = 1
"""Counts up whenever the same rows would give other numbers: bins, soundness, how tensors are
exposed."""

_SHOWN_NAMES: Final = 3
_FIELD_WORDS: Final = {
    "version": "another version of onnxq",
    "model_sha256": "another model",
    "rows_sha256": "other rows",
    "batch_rows": "other batches",
    "runs": "another number of runs",
    "stride": "another --histogram-sample",
    "onnxruntime": "another onnxruntime",
    "stop_early": "another --calib-rows",
}
"""What it means where a field differs, the most telling field first."""


class StatisticsIdentity(Struct, frozen=True, kw_only=True):
    """All that decides the numbers, beside which tensors and which runs were looked at.

    Threads, passes, shards and checkpoints do not. Preprocessing does, and is in the rows.

    Attributes:
        model_sha256: Of the prepared model and its side files.
        rows_sha256: Of what the model is fed, by input: names, dtypes, shapes, values, order.
        batch_rows: Rows a run.
        runs: Runs in all.
        stride: Every so-many-th value is counted.
        onnxruntime: Its version: kernels round differently.
        stop_early: Whether runs may be left out once more of them would hardly matter.
        version: :data:`STATISTICS_VERSION`.
    """

    model_sha256: str
    rows_sha256: str
    batch_rows: int
    runs: int
    stride: int = 1
    onnxruntime: str
    stop_early: bool = False
    version: int = STATISTICS_VERSION


@dataclass(frozen=True, kw_only=True, eq=False)
class CollectedStatistics:
    """Statistics of some runs, and what a person calls the rows.

    Attributes:
        identity: What they are of.
        row_names: Of each run, also of those that were not looked at.
        given_rows: Rows that there were.
        dropped_rows: Rows of a last, partial batch, which no run takes.
        tensors: By tensor name.
    """

    identity: StatisticsIdentity
    row_names: tuple[str, ...]
    given_rows: int
    dropped_rows: int
    tensors: Mapping[str, TensorStatistics]

    def __post_init__(self) -> None:
        """Check that all parts speak of as many runs.

        Raises:
            ValueError: If they do not.
        """
        sizes = {len(one.row_seen) for one in self.tensors.values()} | {len(self.row_names)}
        if sizes != {self.identity.runs}:
            message = f"runs differ: {self.identity.runs} and {sorted(sizes)}"
            raise ValueError(message)

    @property
    def runs_seen(self) -> Flags:
        """Runs that every tensor was looked at on, bool ``[runs]``; all, where there is none."""
        seen = np.ones(self.identity.runs, np.bool_)
        for one in self.tensors.values():
            seen &= one.row_seen
        return seen

    @property
    def is_complete(self) -> bool:
        """Whether every tensor was looked at on every run."""
        return bool(self.runs_seen.all())


def is_settled(tensors: Mapping[str, TensorStatistics]) -> bool:
    """Whether no tensor has values of a run on which another one is not finite.

    Statistics that were cut short, or of tensors that were collected one after the other, may
    have such values still; collecting goes on with taking them out.

    Args:
        tensors: By name; of as many runs each.
    """
    every = tensors.values()
    unsound = [one.row_non_finite > 0 for one in every]
    return not unsound or not any(
        (np.logical_or.reduce(unsound) & one.row_folded).any() for one in every
    )


def check_complete(collected: CollectedStatistics) -> None:
    """Raise if runs were not looked at.

    Args:
        collected: Statistics, perhaps of several parts.

    Raises:
        DatasetError: OQ147, naming the first of these runs.
    """
    missing = np.flatnonzero(~collected.runs_seen)
    if missing.size and not (collected.identity.stop_early and collected.runs_seen.any()):
        runs = collected.identity.runs
        message = (
            f"the statistics are of {runs - missing.size} of {runs} runs: "
            f"{_some_names(collected.row_names, missing.tolist())} missing."
        )
        hint = "Add the part that looked at these rows: onnxq merge MODEL PART PART ..."
        raise DatasetError(message, code="OQ147", hint=hint)


def check_identity(found: StatisticsIdentity, expected: StatisticsIdentity, *, origin: str) -> None:
    """Raise if statistics are not of what they should be of.

    Args:
        found: What they are of.
        expected: What they should be of.
        origin: What messages call them.

    Raises:
        UsageError: OQ147, naming the first field that differs, with both values.
    """
    for field, words in _FIELD_WORDS.items():
        one, other = getattr(found, field), getattr(expected, field)
        if one != other:
            _refuse(f"{origin} is of {words}: {field} is {one!r}, expected {other!r}")


def merge_collected(parts: Mapping[str, CollectedStatistics]) -> CollectedStatistics:
    """Put parts together: associative, and the same in whatever order they come.

    Args:
        parts: Statistics of different runs over the same rows, by what messages call them.

    Returns:
        The statistics of all. Where parts call rows differently (their folders had other names),
        the first names in the order of the alphabet hold.

    Raises:
        UsageError: OQ147 if parts are of different models, rows or options, or of different
            tensors, or if two looked at the same rows, which would count twice.
        ValueError: If there are no parts.
    """
    (origin, merged), *others = parts.items()
    for name, part in others:
        _check_fits(part, merged, origin=name, other=origin)
        merged = CollectedStatistics(
            identity=merged.identity,
            row_names=min(merged.row_names, part.row_names),
            given_rows=merged.given_rows,
            dropped_rows=merged.dropped_rows,
            tensors={key: one.merge(part.tensors[key]) for key, one in merged.tensors.items()},
        )
    return merged


def _check_fits(
    part: CollectedStatistics, merged: CollectedStatistics, *, origin: str, other: str
) -> None:
    check_identity(part.identity, merged.identity, origin=origin)
    rows = (part.given_rows, part.dropped_rows)
    if rows != (merged.given_rows, merged.dropped_rows):
        expected = (merged.given_rows, merged.dropped_rows)
        _refuse(f"{origin} speaks of {rows} given and dropped rows, expected {expected}")
    uneven = sorted(part.tensors.keys() ^ merged.tensors.keys())
    if uneven:
        owner = origin if uneven[0] in part.tensors else other
        _refuse(f"{origin} and {other} are of different tensors: only {owner} has {uneven[0]!r}")
    for name, one in part.tensors.items():
        twice = np.flatnonzero(one.row_seen & merged.tensors[name].row_seen).tolist()
        if twice:
            rows_named = _some_names(merged.row_names, twice)
            _refuse(f"{rows_named} would count twice: another part has them as {origin} has")


def _refuse(what: str) -> NoReturn:
    message = f"the statistics do not belong together: {what}."
    hint = "Merge one part of each shard, all made with the same model, rows and options."
    raise UsageError(message, code="OQ147", hint=hint)


def _some_names(names: Sequence[str], runs: Sequence[int]) -> str:
    shown = ", ".join(names[run] for run in runs[:_SHOWN_NAMES])
    return shown + (f" and {len(runs) - _SHOWN_NAMES} more" if len(runs) > _SHOWN_NAMES else "")
