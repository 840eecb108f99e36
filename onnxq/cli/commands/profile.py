"""``onnxq profile``: models side by side."""

from typing import Unpack

import click

from onnxq.cli.commands.describing import ABOUT_MODEL, MODEL_HEADING
from onnxq.cli.commands.planning import show_plan
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import ProfileOptions
from onnxq.cli.parameter_types import Spec
from onnxq.cli.presenting import present


@verb(
    arguments=(click.Argument(["models"], type=Spec(), nargs=-1, required=True),),
    headings={
        "Models": MODEL_HEADING,
        "Data": ("data", "preprocess", "map", "classes", "limit"),
        "Judging": ("metric", "judge_output"),
        "Timing": ("provider", "threads", "batch", "seconds", "seed"),
        "Output": ("plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq profile model.onnx",
        "onnxq profile float.onnx onnxq-out/model.int8.onnx --data val.npz",
        "onnxq profile model.onnx --provider cpu --provider openvino --threads 4",
    ),
    about=f"{ABOUT_MODEL}\n\nThe first one is what the others are compared with. Nothing is "
    "written.",
)
def profile(asked: Invocation, models: tuple[str, ...], **options: Unpack[ProfileOptions]) -> int:
    """Measure models side by side: accuracy, size, latency."""
    if asked.plan:
        return show_plan(asked, "profile", models, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_profile import render_profile  # noqa: PLC0415 - rich
    from onnxq.documents import document_to_json  # noqa: PLC0415 - --help must not load it

    with listening(asked.shown) as tell:
        done = verbs.profile(models, **options, command=asked.command, tell=tell)
    present(
        asked.shown, lambda: document_to_json(done), lambda screen: render_profile(done, screen)
    )
    return 0
