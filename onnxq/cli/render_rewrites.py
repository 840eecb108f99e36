"""Rewrites become text: a table of them, and below it what each is good for."""

from collections.abc import Sequence

from onnxq.cli.fitting import Cell, Column
from onnxq.cli.notes import Note
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, table
from onnxq.cli.screen import Screen
from onnxq.rewrite_facts import RewriteFacts

_ALL_TARGETS = 3
_RANK_STEP, _RANK_TARGETS = 2, 1
_NEXT = "Next  onnxq run model.onnx --data val.npz --skip-rewrite NAME"


def render_rewrites(rewrites: Sequence[RewriteFacts], screen: Screen) -> str:
    """Draw rewrites: name, exactness, where and by default, and below it why each is taken.

    Args:
        rewrites: In the order in which they are taken.
        screen: Where it will be shown.

    Returns:
        The text, with a line feed at the end.
    """
    notes = [Note(mark="", subject=one.name, text=f"{_capital(one.why)}.") for one in rewrites]
    return draw(
        screen,
        [
            table(screen, fit(screen, _columns(rewrites))),
            notes_grid(screen, notes),
            lines_part(screen, [_NEXT]),
        ],
    )


def _columns(rewrites: Sequence[RewriteFacts]) -> tuple[Column, ...]:
    return (
        Column(title=("rewrite",), cells=tuple(Cell(one.name) for one in rewrites), numbers=False),
        Column(
            title=("exactness",),
            cells=tuple(Cell(one.exactness) for one in rewrites),
            numbers=False,
        ),
        Column(
            title=("default",),
            cells=tuple(Cell("off" if one.is_optional else "on") for one in rewrites),
            numbers=False,
        ),
        Column(
            title=("of",),
            cells=tuple(Cell(one.step) for one in rewrites),
            numbers=False,
            drop_rank=_RANK_STEP,
        ),
        Column(
            title=("targets",),
            cells=tuple(Cell(_targets(one)) for one in rewrites),
            numbers=False,
            drop_rank=_RANK_TARGETS,
        ),
    )


def _targets(one: RewriteFacts) -> str:
    return "all" if len(one.targets) == _ALL_TARGETS else ", ".join(one.targets)


def _capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}"
