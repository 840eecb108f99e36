"""What an audit found, in words: the share of integers, float islands, nodes that were added."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from onnxq.audits import AddedNode, Island, RuntimeAudit, SlowKernel
from onnxq.cli.cells import percent
from onnxq.wording import count_noun

_PLACES = {"between": "", "start": ", at the start", "end": ", at the end"}
_MOST_OPERATORS = 4
_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


@dataclass(frozen=True, kw_only=True)
class AuditLine:
    """Nodes of which the same is to be said.

    Attributes:
        what: How many of what, and what they take.
        reason: Why they are as they are.
        fix: What to do; empty where nothing is known.
    """

    what: str
    reason: str
    fix: str = ""


def integer_sentence(audit: RuntimeAudit) -> str:
    """Say how much of a model runs on integers, and what runs beside it."""
    if not audit.macs:
        return f"{count_noun(audit.kernels, 'kernel')}; none multiplies"
    share = f"{percent(audit.integer_ratio, 0 if audit.integer_ratio in {0.0, 1.0} else 1)} %"
    beside = [
        _part(audit, "float island", audit.islands),
        _part(audit, "added node", audit.added),
        _part(audit, "slow integer kernel", audit.slow),
    ]
    told = "; ".join(filter(None, beside))
    counted = f"{share} of {count_text(audit.macs)} multiply-adds in integer kernels"
    return f"{counted}{f'; {told}' if told else ''}"


def count_text(count: int) -> str:
    """Write a large number with about three digits, such as ``1.81 G``."""
    unit, size = next(((u, s) for u, s in _UNITS if count >= s), ("", 1.0))
    return f"{count / size:.3g} {unit}".rstrip()


def island_lines(audit: RuntimeAudit) -> tuple[AuditLine, ...]:
    """Write a line for all float islands that are alike, those with the most time first."""
    groups: defaultdict[tuple[str, ...], list[Island]] = defaultdict(list)
    for one in audit.islands:
        groups[one.place, " ".join(one.operators), one.reason, one.fix].append(one)
    ordered = sorted(groups.values(), key=_time_of, reverse=True)
    return tuple(
        AuditLine(
            what=f"{_island_text(group)}{_PLACES[group[0].place]}: {_costs(audit, group)}",
            reason=group[0].reason,
            fix=group[0].fix,
        )
        for group in ordered
    )


def slow_lines(audit: RuntimeAudit) -> tuple[AuditLine, ...]:
    """Write a line for all slow integer kernels that are alike, the longest first."""
    groups: defaultdict[tuple[str, ...], list[SlowKernel]] = defaultdict(list)
    for one in audit.slow:
        groups[one.operator, one.reason, one.fix].append(one)
    ordered = sorted(groups.values(), key=_time_of, reverse=True)
    return tuple(
        AuditLine(
            what=f"{_times(group)}{group[0].operator}: {_costs(audit, group)}",
            reason=group[0].reason,
            fix=group[0].fix,
        )
        for group in ordered
    )


def added_lines(audit: RuntimeAudit) -> tuple[AuditLine, ...]:
    """Write a line for all added nodes that are alike, the longest first."""
    groups: defaultdict[tuple[str, ...], list[AddedNode]] = defaultdict(list)
    for one in audit.added:
        groups[one.operator, one.reason].append(one)
    ordered = sorted(groups.values(), key=_time_of, reverse=True)
    return tuple(
        AuditLine(
            what=f"{_times(group)}{group[0].operator}: {_share(audit, group)} of the time",
            reason=group[0].reason,
        )
        for group in ordered
    )


def _part(
    audit: RuntimeAudit, noun: str, nodes: tuple[Island | AddedNode | SlowKernel, ...]
) -> str:
    return f"{count_noun(len(nodes), noun)} ({_share(audit, nodes)} of the time)" if nodes else ""


def _island_text(group: list[Island]) -> str:
    operators = group[0].operators
    if not operators:
        return f"{_times(group)}requantization"
    more = f" and {len(operators) - _MOST_OPERATORS} more" if operators[_MOST_OPERATORS:] else ""
    return f"{_times(group)}{', '.join(operators[:_MOST_OPERATORS])}{more}"


def _times(group: list[Island] | list[AddedNode] | list[SlowKernel]) -> str:
    return f"{len(group)} x " if len(group) > 1 else ""


def _costs(audit: RuntimeAudit, group: list[Island] | list[SlowKernel]) -> str:
    macs = sum(one.macs for one in group)
    told = f", {percent(macs / audit.macs, 1)} % of the multiply-adds" if macs else ""
    return f"{_share(audit, group)} of the time{told}"


def _share(audit: RuntimeAudit, nodes: Iterable[Island | AddedNode | SlowKernel]) -> str:
    return f"{percent(_time_of(nodes) / audit.ns if audit.ns else 0.0, 1)} %"


def _time_of(nodes: Iterable[Island | AddedNode | SlowKernel]) -> float:
    return sum(one.ns for one in nodes)
