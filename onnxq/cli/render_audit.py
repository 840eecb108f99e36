"""What onnxruntime really runs, drawn for ``inspect --runtime``."""

import textwrap
from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from onnxq.audits import Audit, NotAudited, RuntimeAudit
from onnxq.cli.audit_words import (
    AuditLine,
    added_lines,
    count_text,
    integer_sentence,
    island_lines,
    slow_lines,
)
from onnxq.cli.cells import decimals_for, time_unit
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.message_lines import message_lines
from onnxq.cli.render_parts import fit, lines_part, table, words
from onnxq.cli.screen import Screen
from onnxq.measurements import NodeTime
from onnxq.wording import count_noun

_INDENT = " " * 7
_NAME = 20
_RANK_ARITHMETIC, _RANK_COVERS = 1, 2


def audit_parts(
    audit: Audit, kernels: tuple[NodeTime, ...], screen: Screen, *, everything: bool = False
) -> list[RenderableType]:
    """Draw an audit.

    Args:
        audit: What was found; nothing is drawn where nobody asked.
        kernels: The nodes that ran.
        screen: Where it will be shown.
        everything: Show every kernel.

    Returns:
        A summary, then float islands, slow kernels and added nodes, alike ones in one line.
    """
    if not isinstance(audit, RuntimeAudit):
        return [_not_run(audit, screen)] if audit.reason else []
    unit, unit_ns = time_unit([audit.ns])
    time = f"{audit.ns / unit_ns:.3g} {unit} at 1 thread"
    head = [
        integer_sentence(audit),
        f"{count_noun(audit.kernels, 'kernel')}, {time}, the profiler's own time included",
        *_unmatched(audit),
    ]
    return [
        lines_part(screen, head, title="What onnxruntime runs"),
        *_section("Float islands", island_lines(audit), screen),
        *_section("Integer kernels that are slow on this CPU", slow_lines(audit), screen),
        *_section("Added by onnxruntime", added_lines(audit), screen),
        *([_kernels_part(kernels, screen)] if everything and kernels else []),
    ]


def _not_run(audit: NotAudited, screen: Screen) -> Text:
    hints = (
        line
        for place, hint in enumerate(audit.fix.split("\n") if audit.fix else ())
        for line in message_lines(hint, screen.columns, "  -> " if place == 0 else " " * 5)
    )
    told = [*message_lines(audit.reason, screen.columns, "  "), *hints]
    return lines_part(screen, told, title="What onnxruntime runs: not known")


def _unmatched(audit: RuntimeAudit) -> list[str]:
    if not audit.unmatched:
        return []
    nodes = count_noun(len(audit.unmatched), "node")
    first = ", ".join(audit.unmatched[:3])
    return [f"graph and profile differ in {nodes} ({first}): figures may be of something else"]


def _section(title: str, lines: Iterable[AuditLine], screen: Screen) -> list[RenderableType]:
    lines = tuple(lines)
    if not lines:
        return []
    texts = [
        text
        for line in lines
        for text in (
            f"  {line.what}",
            *_indented(line.reason, "", screen),
            *_indented(line.fix, "-> ", screen),
        )
    ]
    return [lines_part(screen, texts, title=title)]


def _indented(text: str, mark: str, screen: Screen) -> list[str]:
    room = max(screen.columns - len(_INDENT) - len(mark), 1)
    return [
        f"{_INDENT}{mark if place == 0 else ' ' * len(mark)}{line}"
        for place, line in enumerate(textwrap.wrap(text, room))
    ]


def _kernels_part(kernels: tuple[NodeTime, ...], screen: Screen) -> Text:
    unit, unit_ns = time_unit(kernel.ns for kernel in kernels)
    digits = decimals_for(kernel.ns / unit_ns for kernel in kernels)

    def column(title: str, cells: Iterable[str], *, rank: int = 0, crop: int = 0) -> Column:
        return Column(
            title=(title,),
            cells=tuple(map(Cell, cells)),
            numbers=title in {unit, "multiply-adds"},
            drop_rank=rank,
            crop_to=crop,
        )

    columns = (
        column("kernel", (kernel.operator for kernel in kernels), crop=_NAME),
        column("node", (kernel.name for kernel in kernels), crop=_NAME),
        column("arithmetic", (kernel.arithmetic for kernel in kernels), rank=_RANK_ARITHMETIC),
        column("multiply-adds", (count_text(k.macs) if k.macs else "-" for k in kernels)),
        column(unit, (f"{kernel.ns / unit_ns:.{digits}f}" for kernel in kernels)),
        column("stands for", (", ".join(k.covers) for k in kernels), rank=_RANK_COVERS, crop=_NAME),
    )
    return Text("\n").join([words(screen, "Kernels", "bold"), table(screen, fit(screen, columns))])
