"""``onnxq quantize``: candidates, not measured."""

from typing import Unpack

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
from onnxq.cli.keywords import QuantizeOptions
from onnxq.cli.presenting import present

_NOTHING_BUILT = 1


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": (*MODEL_HEADING, "check"),
        "Data": ("calib", "preprocess", "map", "classes", "limit", "seed"),
        "Calibration": (*CALIBRATION_HEADING, "ranges"),
        "Recipes": ("recipe", "operator", "skip_operator", "keep_float", "io", "strict"),
        "Serving": ("target", "rewrite", "skip_rewrite"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq quantize model.onnx --calib train.npz",
        "onnxq quantize model.onnx --calib rows.npz --keep-float 'head/*' -o small.onnx",
        "onnxq quantize model.onnx --ranges onnxq-out/model.ranges.json",
        "onnxq quantize model.keras -r int8-dynamic -r fp16",
    ),
    about=f"{ABOUT_MODEL}\n\nWithout -r it builds int8 where --calib or --ranges is given, else "
    "int8-dynamic. One recipe can be written to a file: -o small.onnx.",
)
def quantize(asked: Invocation, model: str, **options: Unpack[QuantizeOptions]) -> int:
    """Quantize a model by recipes, without measuring what came of it."""
    if asked.plan:
        return show_plan(asked, "quantize", model, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_quantization import render_quantization  # noqa: PLC0415 - rich
    from onnxq.documents import Built, document_to_json  # noqa: PLC0415 - --help must not load it

    out = options["out"]
    everything = asked.shown.verbose > 0
    with listening(asked.shown) as tell:
        done = verbs.quantize(model, **options, command=asked.command, tell=tell)
    present(
        asked.shown,
        lambda: document_to_json(done),
        lambda screen: render_quantization(
            done, screen, out=out, files=files_in(out), everything=everything
        ),
    )
    return 0 if any(isinstance(row, Built) for row in done.variants) else _NOTHING_BUILT
