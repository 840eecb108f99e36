"""The notes under the table: one a variant, each a because, and one a finding."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnxq.cli.cells import percent, rounded_up, signed, time_unit
from onnxq.cli.metric_words import change_of, words_for
from onnxq.cli.operator_rows import operator_rows
from onnxq.cli.side_by_side import SideBySide
from onnxq.findings import Finding
from onnxq.measurements import TIE_LOW, Accuracy, Judged, OperatorTime, SpeedRatio
from onnxq.reports import (
    Artefact,
    Failed,
    Limits,
    Measured,
    NotApplicable,
    Skipped,
    Tried,
    Unusable,
    Variant,
)
from onnxq.verdict import has_limit
from onnxq.wording import count_noun

NO_REMARKS: Mapping[str, str] = {}
_PASTEABLE = re.compile(r": +(?:onnxq |-{1,2}[a-z])(?!.*[.:] ).*$")
"""A command or flags behind a colon, up to the end of the text."""
_REASONS_SHOWN = 2
_NOTABLE_SHARE = 0.05
_SLOWER = "OQ201"
_REMEDIES = {
    "ConvInteger": "onnxruntime's kernel for it is slow; a static recipe (-r int8, with --data) "
    "runs QLinearConv instead.",
    "DynamicQuantizeLSTM": "The cell is too small for integers to pay.",
}


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note.

    Attributes:
        mark: A number that a row of the table repeats, ``!`` for a warning, ``i`` otherwise.
        subject: What it is about.
        text: One or more sentences.
    """

    mark: str
    subject: str
    text: str


def report_notes(report: SideBySide, remarks: Mapping[str, str] = NO_REMARKS) -> tuple[Note, ...]:
    """Write the notes of a report: the variants' in the table's order, then the findings.

    Args:
        report: What the notes are about.
        remarks: What else is to be said of a row, by its alias.

    Returns:
        The notes.
    """
    texts = {
        variant.alias: " ".join(
            filter(None, (_variant_text(report, variant), remarks.get(variant.alias, "")))
        )
        for variant in report.variants
    }
    return (*numbered_notes(texts), *finding_notes(report.findings, besides=texts))


def numbered_notes(texts: Mapping[str, str]) -> tuple[Note, ...]:
    """Write a numbered note about each row of a table that there is something to say about."""
    said = [(alias, text) for alias, text in texts.items() if text]
    return tuple(Note(mark=str(n), subject=a, text=t) for n, (a, t) in enumerate(said, start=1))


def finding_notes(findings: Iterable[Finding], besides: Collection[str] = ()) -> tuple[Note, ...]:
    """Write a note for each finding, warnings first.

    Args:
        findings: What was found.
        besides: Subjects whose findings are told elsewhere.
    """
    return tuple(
        Note(
            mark="!" if finding.severity == "warning" else "i",
            subject=finding.subject,
            text=finding_text(finding),
        )
        for finding in sorted(findings, key=lambda f: f.severity != "warning")
        if finding.subject not in besides
    )


def note_marks(notes: Iterable[Note]) -> dict[str, str]:
    """Return the numbers of the notes about variants, by alias."""
    return {note.subject: note.mark for note in notes if note.mark.isdecimal()}


def _variant_text(report: SideBySide, variant: Variant) -> str:
    about = [finding for finding in report.findings if finding.subject == variant.alias]
    slower = [finding_text(finding) for finding in about if finding.code == _SLOWER]
    match variant:
        case Measured():
            sentences = _measured_sentences(report, variant, slower)
        case _:
            sentences = state_sentences(variant)
    others = [finding_text(finding) for finding in about if finding.code != _SLOWER]
    return " ".join(filter(None, (*sentences, *others)))


def state_sentences(variant: Skipped | NotApplicable | Tried | Unusable | Failed) -> list[str]:
    """Say why a row has no figures."""
    match variant:
        case Skipped(reason=reason):
            return [_sentence(f"skipped: {reason}")]
        case Tried(reason=reason):
            return [_sentence(f"tried, and dropped: {reason}")]
        case NotApplicable(reason=reason):
            return [_sentence(f"not applicable: {reason}")]
        case Unusable(reason=reason):
            return [_sentence(f"unusable, never recommended: {reason}")]
        case Failed(code=code, reason=reason, hint=hint):
            return [_sentence(f"failed ({code}): {reason}"), _advice(hint)]


def _measured_sentences(report: SideBySide, variant: Measured, slower: list[str]) -> list[str]:
    if variant.alias == report.reference:
        return []
    measured = (v for v in report.variants if isinstance(v, Measured))
    reference = next((v for v in measured if v.alias == report.reference), variant)
    judged = variant.quality
    return [
        *(slower or [speed_sentence(variant, reference)]),
        drop_sentence(judged.accuracy, report.limits) if isinstance(judged, Judged) else "",
        nodes_sentence(variant.artefact),
    ]


def speed_sentence(variant: Measured, reference: Measured) -> str:
    """Say why a variant is not faster than the reference; nothing where it is.

    The reason is the family of operators whose time grew most, or shrank least.
    """
    if not variant.speed:
        return ""
    speed = variant.speed[0]
    if speed.ratio.value > 1 and not speed.is_tie:
        return ""
    reason = _time_reason(variant.operators, reference)
    return f"{_standing(speed, reference.alias)}{f': {reason}' if reason else '.'}"


def _standing(speed: SpeedRatio, reference: str) -> str:
    if speed.ratio.high < TIE_LOW:
        return f"slower than {reference} here"
    low, high = speed.ratio.low, speed.ratio.high
    if speed.is_unknown:
        return f"not known beside {reference} (95% interval of the ratio {low:.2f} to {high:.2f})"
    return f"a tie with {reference} (95% interval of the ratio {low:.2f} to {high:.2f})"


def _time_reason(others: tuple[OperatorTime, ...], reference: Measured) -> str:
    if not others or any(time.is_compiled for time in others):
        return ""
    before = reference.operators
    rows = operator_rows(before, others, most=len(others) + len(before))
    total = sum(row.other_ns for row in rows)
    worst = max(rows, key=lambda row: row.other_ns - row.float_ns)
    if worst.other_ns - worst.float_ns < _NOTABLE_SHARE * total:
        return ""
    name = worst.label.split(" / ")[-1]
    time = next((t for t in others if t.operator == name), None)
    share = worst.other_ns / total
    count = f"{count_noun(time.count, 'node')} of {name}" if time else name
    alias = reference.alias
    then = f"{_time(worst.float_ns)} in {alias}" if worst.float_ns else f"{alias} has none"
    remedy = f" {_REMEDIES[name]}" if name in _REMEDIES else ""
    spent = f"{percent(share, 0)}% of its time is in {count}"
    return f"{spent} ({_time(worst.other_ns)}; {then}).{remedy}"


def _time(nanoseconds: float) -> str:
    unit, unit_ns = time_unit([nanoseconds])
    return f"{nanoseconds / unit_ns:.3g} {unit}"


def drop_sentence(accuracy: Accuracy, limits: Limits) -> str:
    """Say that a drop is, or may be, over the limit; nothing where it is inside."""
    drop = accuracy.drop
    if drop.high <= limits.max_drop or not has_limit(accuracy, limits):
        return ""
    words, moved = words_for(accuracy), change_of(accuracy)
    flag = "--max-drop" if limits.max_drop_given else "the default limit,"
    limit = f"{flag} {words.scale * limits.max_drop:g} {words.unit}"
    low, high = -rounded_up(-moved.low, words.digits), rounded_up(moved.high, words.digits)
    ends = f"{signed(low, words.digits)} to {signed(high, words.digits)}"
    verb = "is over" if drop.low > limits.max_drop else "crosses"
    return f"The 95% interval, {ends} {words.unit}, {verb} {limit}."


def nodes_sentence(artefact: Artefact) -> str:
    """Say how many nodes were quantized, and why the others were not; nothing where none could."""
    if not artefact.quantizable_nodes:
        return ""
    by_reason: dict[str, list[str]] = {}
    for name, reason in artefact.left_float.items():
        by_reason.setdefault(reason, []).append(name)
    left = [_left_clause(names, reason) for reason, names in by_reason.items()]
    shown = "; ".join(left[:_REASONS_SHOWN])
    more = f"; {len(left) - _REASONS_SHOWN} more reasons" if left[_REASONS_SHOWN:] else ""
    return (
        f"{artefact.quantized_nodes} of {count_noun(artefact.quantizable_nodes, 'node')} "
        f"quantized{'; left in float: ' if left else ''}{shown}{more}."
    )


def _left_clause(names: Sequence[str], reason: str) -> str:
    """Name the first node of those that stay float for one reason."""
    others = f" and {len(names) - 1} more" if names[1:] else ""
    return f"{names[0]}{others} ({reason})"


def finding_text(finding: Finding) -> str:
    """Write a finding: what, what to do, its code."""
    fix = f" {_advice(f'Fix: {finding.fix}')}" if finding.fix else ""
    return f"{_sentence(finding.message)}{fix} [{finding.code}]"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."


def _advice(text: str) -> str:
    """End a sentence, but not one that ends in what can be pasted: a stop would go along."""
    bare = text.removesuffix(".")
    return bare if _PASTEABLE.search(bare) else _sentence(text)
