"""``onnxq convert``: to ONNX, and the proof."""

from typing import Unpack

from onnxq.cli.commands.describing import ABOUT_MODEL, MODEL_HEADING, files_in, model_argument
from onnxq.cli.commands.planning import show_plan
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import ConvertOptions
from onnxq.cli.presenting import present


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": (*MODEL_HEADING, "check"),
        "Data": ("data", "preprocess", "map", "limit", "seed"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq convert model.keras",
        "onnxq convert saved_model/ --data val.npz -o converted",
        "onnxq convert nets.py:build --weights w.pth --input x:Nx3x32x32",
    ),
    about=f"{ABOUT_MODEL}\n\nWith --data the two are compared on these rows, else on random ones.",
)
def convert(asked: Invocation, model: str, **options: Unpack[ConvertOptions]) -> int:
    """Convert a model to ONNX, and prove that it computes the same."""
    if asked.plan:
        return show_plan(asked, "convert", model, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_conversion import render_conversion  # noqa: PLC0415 - rich
    from onnxq.documents import document_to_json  # noqa: PLC0415 - --help must not load it

    with listening(asked.shown) as tell:
        done = verbs.convert(model, **options, command=asked.command, tell=tell)
    present(
        asked.shown,
        lambda: document_to_json(done),
        lambda screen: render_conversion(
            done, screen, out=options["out"], files=files_in(options["out"])
        ),
    )
    return 0
