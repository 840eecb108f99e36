"""``onnxq calibrate``: statistics and ranges, kept for later."""

from typing import TYPE_CHECKING, Unpack

from onnxq.cli.commands.describing import (
    ABOUT_MODEL,
    CALIBRATION_HEADING,
    MODEL_HEADING,
    files_in,
    model_argument,
)
from onnxq.cli.commands.planning import show_plan
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import CalibrateOptions
from onnxq.cli.presenting import present

if TYPE_CHECKING:
    from onnxq.documents import Calibration


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": (*MODEL_HEADING, "check"),
        "Data": ("calib", "preprocess", "map", "classes", "limit", "seed"),
        "Calibration": (*CALIBRATION_HEADING, "shard"),
        "Recipes": ("recipe", "operator", "skip_operator", "keep_float", "io"),
        "Serving": ("target", "rewrite", "skip_rewrite"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq calibrate model.onnx --calib train.npz",
        "onnxq calibrate model.onnx --calib images/ --calib-rows auto --max-memory 2GB",
        "onnxq calibrate model.onnx --calib train.npz --shard 2/4 -o part2",
    ),
    about=f"{ABOUT_MODEL}\n\nIt writes the ranges, which quantize takes with --ranges, and the "
    "statistics that they were chosen by, which merge takes. Of one --shard of several there are "
    "statistics alone.",
)
def calibrate(asked: Invocation, model: str, **options: Unpack[CalibrateOptions]) -> int:
    """Find out the ranges of a model's activations, and keep them."""
    if asked.plan:
        return show_plan(asked, "calibrate", model, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it

    with listening(asked.shown) as tell:
        done = verbs.calibrate(model, **options, command=asked.command, tell=tell)
    present_calibration(asked, done, options["out"])
    return 0


def present_calibration(asked: Invocation, done: "Calibration", out: str) -> None:
    """Show what a calibration or a merge came to.

    Args:
        asked: How the verb was called.
        done: What was done.
        out: The folder as the user named it.
    """
    from onnxq.cli.render_calibration import render_calibration  # noqa: PLC0415 - rich
    from onnxq.documents import document_to_json  # noqa: PLC0415 - --help must not load it

    everything = asked.shown.verbose > 0
    present(
        asked.shown,
        lambda: document_to_json(done),
        lambda screen: render_calibration(
            done, screen, out=out, files=files_in(out), everything=everything
        ),
    )
