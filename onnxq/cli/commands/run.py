"""``onnxq run``: everything."""

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
from onnxq.cli.keywords import RunOptions
from onnxq.cli.presenting import Presentation, present

if TYPE_CHECKING:
    from onnxq.cli.screen import Screen
    from onnxq.reports import Report

_LIMIT_BROKEN = 3


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": (*MODEL_HEADING, "check"),
        "Data": ("data", "calib", "preprocess", "map", "classes", "limit"),
        "Calibration": CALIBRATION_HEADING,
        "Judging": ("metric", "judge_output", "allow_chance_accuracy"),
        "Recipes": ("recipe", "operator", "skip_operator", "keep_float", "io", "strict"),
        "Serving": ("target", "rewrite", "skip_rewrite"),
        "Limits (exit 3 where one is not met)": ("max_drop", "min_speedup", "max_size"),
        "Timing": ("threads", "batch", "seconds", "seed"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq run model.keras --data val.npz",
        "onnxq run model.onnx -d images/ --preprocess imagenet --max-drop 1pp",
        "onnxq run nets.py:build --weights w.pth --input x:Nx3x32x32 -d val.npz",
        "onnxq run model.onnx -d val.npz -r int8 -r int8-minmax --json > report.json",
        "onnxq run model.onnx -d val.npz --plan",
    ),
    about=(
        f"{ABOUT_MODEL}\n\nWithout -r it builds fp32, int8 and int8-dynamic where they apply, and "
        "what a search finds to be faster."
    ),
)
def run(asked: Invocation, model: str, **options: Unpack[RunOptions]) -> int:
    """Convert, check, quantize, measure and judge a model."""
    if asked.plan:
        return show_plan(asked, "run", model, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.reports import report_to_json  # noqa: PLC0415 - --help must not load it

    with listening(asked.shown) as tell:
        report = verbs.run(model, **options, command=asked.command, tell=tell)
    present(
        asked.shown,
        lambda: report_to_json(report),
        lambda screen: _text(report, asked.shown, options["out"], screen),
    )
    return 0 if report.verdict.limits_met else _LIMIT_BROKEN


def _text(report: "Report", shown: Presentation, out: str, screen: "Screen") -> str:
    from onnxq.cli.render import render_report  # noqa: PLC0415 - rich, for text alone
    from onnxq.snippets import serving_snippet  # noqa: PLC0415 - --help must not load it

    snippet = serving_snippet(report, report.verdict.alias) if shown.verbose else ""
    return render_report(
        report,
        screen,
        out=out,
        files=files_in(out),
        snippet=snippet,
        everything=shown.verbose > 0,
    )
