"""``onnxq merge``: statistics of several shards become one, and ranges are chosen."""

from typing import Unpack

import click

from onnxq.cli.commands.calibrate import present_calibration
from onnxq.cli.commands.describing import ABOUT_MODEL, MODEL_HEADING, model_argument
from onnxq.cli.commands.planning import show_plan
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import MergeOptions
from onnxq.cli.parameter_types import Spec


@verb(
    arguments=(
        model_argument(),
        click.Argument(["parts"], type=Spec(), nargs=-1, required=True),
    ),
    headings={
        "Model": (*MODEL_HEADING, "check"),
        "Recipes": ("recipe", "operator", "skip_operator", "keep_float", "io", "seed"),
        "Serving": ("target", "rewrite", "skip_rewrite"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq merge model.onnx part1/model.1of2.statistics part2/model.2of2.statistics",
        "onnxq merge model.onnx part*/model.*.statistics -r int8 -o ranges",
    ),
    about=f"{ABOUT_MODEL}\n\nPARTS are the .statistics files that calibrate --shard wrote, one for "
    "each part of the rows, in any order. What is written is what calibrate writes of all rows.",
)
def merge(
    asked: Invocation, model: str, parts: tuple[str, ...], **options: Unpack[MergeOptions]
) -> int:
    """Put statistics of several shards together, and choose the ranges."""
    if asked.plan:
        return show_plan(asked, "merge", model, parts=parts, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it

    with listening(asked.shown) as tell:
        done = verbs.merge(model, parts, **options, command=asked.command, tell=tell)
    present_calibration(asked, done, options["out"])
    return 0
