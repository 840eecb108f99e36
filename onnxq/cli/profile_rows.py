"""A profile laid out as a report's rows are, so that one style draws both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from msgspec.structs import replace

from onnxq.documents import NotProfiled, Profile, Profiled, ProfileRow, Unavailable
from onnxq.findings import Finding
from onnxq.reports import Artefact, Failed, Limits, Measured, Variant

NO_LIMITS = Limits(max_drop=math.inf)


@dataclass(frozen=True, kw_only=True)
class ProfileRows:
    """Models side by side, of a profile: see :class:`~onnxq.cli.side_by_side.SideBySide`.

    Attributes:
        variants: What was measured, and what failed; called by the shortest names that differ.
        reference: What the row is called that the others are compared with.
        limits: None: a profile does not judge.
        findings: What a reader should know, by the names of the rows.
        sources: The profile's rows, by what they are called here.
    """

    variants: tuple[Variant, ...]
    reference: str
    limits: Limits
    findings: tuple[Finding, ...]
    sources: dict[str, Profiled | NotProfiled]


def rows_of(profile: Profile) -> ProfileRows:
    """Lay a profile out.

    Args:
        profile: What was measured. Providers that are not there get no row.

    Returns:
        Its rows.
    """
    rows = [row for row in profile.rows if not isinstance(row, Unavailable)]
    named = dict(zip(_names(rows), rows, strict=True))
    return ProfileRows(
        variants=tuple(_variant(name, row) for name, row in named.items()),
        reference=_reference(named),
        limits=NO_LIMITS,
        findings=tuple(_renamed(finding, named) for finding in profile.findings),
        sources=named,
    )


def unavailable_lines(profile: Profile) -> tuple[str, ...]:
    """Return one line for each provider that is not there, whatever the number of models."""
    reasons = {row.provider: row.reason for row in profile.rows if isinstance(row, Unavailable)}
    return tuple(f"{provider}: {reason}" for provider, reason in reasons.items())


def _names(rows: Sequence[ProfileRow]) -> list[str]:
    """Call rows by file name, or by path where names are the same; by provider where they vary."""
    files = [PurePath(row.model).name for row in rows]
    short = len(set(files)) == len({row.model for row in rows})
    models = files if short else [row.model for row in rows]
    if len({row.provider for row in rows}) <= 1:
        return models
    return [f"{model} on {row.provider}" for model, row in zip(models, rows, strict=True)]


def _reference(named: dict[str, Profiled | NotProfiled]) -> str:
    """Return the first row that was measured: what the ratios of the others are to."""
    measured = (name for name, row in named.items() if isinstance(row, Profiled) and not row.speed)
    return next(measured, "")


def _renamed(finding: Finding, named: dict[str, Profiled | NotProfiled]) -> Finding:
    """Let a finding about a row have the row's name here as its subject."""
    for name, row in named.items():
        if finding.subject in {row.model, f"{row.model} on {row.provider}"}:
            return replace(finding, subject=name)
    return finding


def _variant(name: str, row: Profiled | NotProfiled) -> Variant:
    if isinstance(row, NotProfiled):
        return Failed(alias=name, recipe="", code=row.code, reason=row.reason, hint=row.hint)
    return Measured(
        alias=name,
        recipe="",
        artefact=Artefact(
            file=row.model,
            sha256=row.sha256,
            size=row.size,
            opset=row.opset,
            ir_version=0,
            min_runtime=row.min_runtime,
            quantized_nodes=0,
            quantizable_nodes=0,
        ),
        quality=row.quality,
        latencies=row.latencies,
        speed=row.speed,
        speed_over_given=(),
        operators=row.operators,
        seconds=0.0,
        audit=row.audit,
    )
