"""Rewrites become text: below the step that takes them, how exact each is and why it is taken."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from rich.text import Text

from onnxq.cli.charset import text_columns
from onnxq.cli.render_parts import draw, lines_part
from onnxq.cli.report_words import command_lines
from onnxq.cli.screen import Screen
from onnxq.rewrite_facts import RewriteFacts, RewriteStep
from onnxq.targets import TargetName

_TITLES: Mapping[RewriteStep, str] = MappingProxyType({
    "preparation": "preparation: of float models (run, quantize, calibrate)",
    "quantizers": "quantizers: on the copy that is quantized (run, quantize)",
    "repair": "repair: of quantized models that others made (repair)",
    "integers": "integers: of quantized models (run, quantize, repair)",
})  # fmt: skip
_LEGEND = (
    "bit-exact    outputs stay equal to the last bit",
    "real-exact   equal in exact arithmetic: only the order or grouping of operations changes",
    "approximate  values change; never done to the float model that others are compared with",
    "(x86-amx)    taken for these --target alone; else for all",
)
_LEGEND_INDENT = " " * len("approximate  ")
_NEXT = ("onnxq", "run", "model.onnx", "--data", "val.npz", "--skip-rewrite", "NAME")
_INDENT, _WHY_INDENT = " " * 2, " " * 6


def render_rewrites(rewrites: Sequence[RewriteFacts], screen: Screen) -> str:
    """Draw rewrites: name, exactness, what is not as usual, and below it why each is taken.

    A name never takes two lines: it is there to be copied.

    Args:
        rewrites: In the order in which they are taken.
        screen: Where it will be shown.

    Returns:
        The text, with a line feed at the end.
    """
    legend = (part for line in _LEGEND for part in _wrapped(line, screen, "", _LEGEND_INDENT))
    return draw(
        screen,
        [
            *(
                _step_part([one for one in rewrites if one.step == step], title, screen)
                for step, title in _TITLES.items()
                if any(one.step == step for one in rewrites)
            ),
            lines_part(screen, legend),
            lines_part(screen, command_lines("Next  ", _NEXT, screen.columns)),
        ],
    )


def _step_part(rewrites: Sequence[RewriteFacts], title: str, screen: Screen) -> Text:
    widest = max(text_columns(one.name) for one in rewrites)
    lines = [
        line
        for one in rewrites
        for line in (
            *_wrapped(f"{one.name:<{widest}}  {_facts(one)}", screen, _INDENT, _WHY_INDENT),
            *_wrapped(f"{_capital(one.why)}.", screen, _WHY_INDENT, _WHY_INDENT),
        )
    ]
    return lines_part(screen, lines, title=title)


def _facts(one: RewriteFacts) -> str:
    is_everywhere = set(one.targets) == set(get_args(TargetName))
    targets = "" if is_everywhere else f" ({', '.join(one.targets)})"
    return f"{one.exactness}{targets}{'; off by default' if one.is_optional else ''}"


def _wrapped(text: str, screen: Screen, indent: str, hanging: str) -> list[str]:
    """Break a text between its words alone: names have hyphens."""
    return textwrap.wrap(
        screen.spell_line(text),
        screen.columns,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}"
