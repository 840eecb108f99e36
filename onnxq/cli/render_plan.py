"""A plan becomes text: what would be done, how long it would take, what would be written."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.cells import NOT_MEASURED, duration
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.notes import Note, finding_notes, note_marks, numbered_notes
from onnxq.cli.plan_words import plan_facts
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, table, words
from onnxq.cli.report_words import command_lines, command_text
from onnxq.cli.screen import Screen
from onnxq.documents import Plan, PlannedRecipe, PlannedStep

_NAME, _SUBJECT, _BASIS = 16, 20, 24
_RANK_BASIS, _RANK_RECIPE = 1, 1


def render_plan(plan: Plan, screen: Screen, command: Sequence[str], *, out: str = "") -> str:
    """Draw what a verb would do.

    Args:
        plan: What it would do.
        screen: Where it will be shown.
        command: What was typed, ``--plan`` included; what came from settings is among it.
        out: Where it would write, as the user named it.

    Returns:
        The text, with a line feed at the end.
    """
    doing = [word for word in command if word != "--plan"]
    facts = [Note(mark="", subject=name, text=text) for name, text in plan_facts(plan, out).items()]
    notes = (*numbered_notes(_conditions(plan)), *finding_notes(plan.findings))
    return draw(
        screen,
        [
            lines_part(
                screen,
                [f"onnxq {plan.onnxq}: a plan, nothing was done"],
                title=command_text(command),
            ),
            *([notes_grid(screen, facts)] if facts else []),
            *_part("Steps", _step_columns(plan.steps), screen, rows=len(plan.steps)),
            *_part(
                "Recipes",
                _recipe_columns(plan.recipes, note_marks(notes)),
                screen,
                rows=len(plan.recipes),
            ),
            *([notes_grid(screen, notes)] if notes else []),
            lines_part(screen, command_lines("Next  ", doing, screen.columns)),
        ],
    )


def _conditions(plan: Plan) -> dict[str, str]:
    skipped = {r.alias: f"skipped: {r.skipped}." for r in plan.recipes if r.skipped}
    return skipped | {r.alias: f"tried {r.condition}." for r in plan.recipes if r.condition}


def _part(
    title: str, columns: tuple[Column, ...], screen: Screen, *, rows: int
) -> list[RenderableType]:
    if not rows:
        return []
    return [Text("\n").join([words(screen, title, "bold"), table(screen, fit(screen, columns))])]


def _step_columns(steps: Sequence[PlannedStep]) -> tuple[Column, ...]:
    def seconds(step: PlannedStep) -> Cell:
        return Cell(duration(step.seconds)) if step.seconds else Cell(NOT_MEASURED, "quiet")

    return (
        Column(title=("step",), cells=tuple(Cell(s.name) for s in steps), numbers=False),
        Column(
            title=("of",),
            cells=tuple(Cell(s.subject) for s in steps),
            numbers=False,
            crop_to=_SUBJECT,
        ),
        Column(title=("about",), cells=tuple(map(seconds, steps))),
        Column(
            title=("told from",),
            cells=tuple(Cell(s.basis) for s in steps),
            numbers=False,
            crop_to=_BASIS,
            drop_rank=_RANK_BASIS,
        ),
    )


def _recipe_columns(
    recipes: Sequence[PlannedRecipe], note_marks: dict[str, str]
) -> tuple[Column, ...]:
    def outcome(recipe: PlannedRecipe) -> Cell:
        return Cell("skipped", "quiet") if recipe.skipped else Cell(recipe.file)

    return (
        Column(
            title=("recipe",),
            cells=tuple(Cell(r.alias) for r in recipes),
            numbers=False,
            crop_to=_NAME,
        ),
        Column(
            title=("in full",),
            cells=tuple(Cell(r.recipe) for r in recipes),
            numbers=False,
            drop_rank=_RANK_RECIPE,
        ),
        Column(
            title=("file",), cells=tuple(map(outcome, recipes)), numbers=False, crop_to=_SUBJECT
        ),
        Column(
            title=("",),
            cells=tuple(Cell(note_marks.get(r.alias, "")) for r in recipes),
            numbers=False,
        ),
    )
