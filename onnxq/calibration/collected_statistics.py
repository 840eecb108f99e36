"""Statistics with what they are of, so that parts of them can be put together again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from msgspec import Struct

from onnxq.calibration.statistics import Flags, TensorStatistics
from onnxq.calibrations import Shard
from onnxq.errors import DatasetError, UsageError
from onnxq.wording import listed_rows

STATISTICS_VERSION: Final = 1
"""Counts up whenever the same rows would give other numbers: bins, soundness, how tensors are
exposed."""

_SHOWN_NAMES: Final = 3
_MOST_SHARDS: Final = 256
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
    def runs_left_out(self) -> Flags:
        """Runs that are in no range, as some tensor is not finite on them; bool ``[runs]``."""
        left_out = np.zeros(self.identity.runs, np.bool_)
        for one in self.tensors.values():
            left_out |= one.row_non_finite > 0
        return left_out

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


def check_complete(collected: CollectedStatistics, *, parts: Iterable[Flags] = ()) -> None:
    """Raise if runs were not looked at.

    Args:
        collected: Statistics, perhaps of several parts.
        parts: Runs that each part looked at, bool ``[runs]``.

    Raises:
        DatasetError: OQ147, naming the parts that are missing, and the first of these runs.
    """
    missing = np.flatnonzero(~collected.runs_seen)
    if missing.size and not (collected.identity.stop_early and collected.runs_seen.any()):
        runs = collected.identity.runs
        names = listed_rows([collected.row_names[run] for run in missing])
        shards = _missing_shards(~collected.runs_seen, list(parts))
        message = (
            f"the statistics are of {runs - missing.size} of {runs} runs: "
            f"{_shards_said(shards)}{names} {'is' if missing.size == 1 else 'are'} missing."
        )
        hint = "Add the part that looked at these rows: onnxq merge MODEL PART PART ..."
        if shards:
            one = f"{shards[0].number}/{shards[0].total}"
            hint = f"Calibrate with --shard {one} too, and merge what it writes with the others."
        raise DatasetError(message, code="OQ147", hint=hint)


def _missing_shards(missing: Flags, parts: Sequence[Flags]) -> tuple[Shard, ...]:
    """Tell which shards are missing: part ``k`` of ``n`` has every ``n``-th run from ``k - 1``.

    The files do not say which part they are; the least ``n`` tells that fits all of them.
    """
    for total in range(2, min(_MOST_SHARDS, len(missing) - 1) + 1):
        if all(_is_of_shards(runs, total) for runs in (missing, *parts)):
            return tuple(Shard(k + 1, total) for k in range(total) if missing[k])
    return ()


def _is_of_shards(runs: Flags, total: int) -> bool:
    """Whether runs are whole shards: every ``total``-th run is as the one before."""
    return bool((runs[total:] == runs[:-total]).all())


def _shards_said(shards: Sequence[Shard]) -> str:
    if not shards:
        return ""
    *first, last = (str(shard.number) for shard in shards)
    numbers = f"{', '.join(first)} and {last}" if first else last
    return f"part{'s' if first else ''} {numbers} of {shards[0].total}, that is "


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
