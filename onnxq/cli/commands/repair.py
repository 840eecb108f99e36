"""``onnxq repair``: a quantized model of another tool runs on integer kernels."""

from typing import Unpack

from onnxq.cli.commands.describing import files_in, model_argument
from onnxq.cli.commands.planning import show_plan
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import RepairOptions
from onnxq.cli.presenting import present


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": ("input",),
        "Data": ("calib", "preprocess", "map", "limit", "seed"),
        "Serving": ("target", "rewrite", "skip_rewrite"),
        "Timing": ("measure", "threads", "batch", "seconds"),
        "Output": ("out", "overwrite", "plan", *SHOWN_LAST),
    },
    examples=(
        "onnxq repair quantized.onnx",
        "onnxq repair quantized.onnx --calib rows.npz -o repaired.onnx",
        "onnxq repair quantized.onnx --target x86 --no-measure",
    ),
    about="MODEL is an .onnx file with quantized activations, whoever wrote it: onnxruntime's "
    "quantizers, NNCF, ModelOpt, Quark, AIMET, or an export after quantization-aware training.\n\n"
    "Each rewrite is tried by running, and the report says whether the outputs stayed equal to "
    "the last bit. With --calib that is done on these rows, and ranges that the file lacks are "
    "taken from them; else on random rows.",
)
def repair(asked: Invocation, model: str, **options: Unpack[RepairOptions]) -> int:
    """Make a quantized model of another tool run on integer kernels."""
    if asked.plan:
        return show_plan(asked, "repair", model, **options)
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_repair import render_repair  # noqa: PLC0415 - rich
    from onnxq.documents import document_to_json  # noqa: PLC0415 - --help must not load it

    out = options["out"]
    everything = asked.shown.verbose > 0
    with listening(asked.shown) as tell:
        done = verbs.repair(model, **options, command=asked.command, tell=tell)
    present(
        asked.shown,
        lambda: document_to_json(done),
        lambda screen: render_repair(
            done, screen, out=out, files=files_in(out), everything=everything
        ),
    )
    return 0
