"""``onnxq inspect``: what is in a file, and whether rows fit it."""

from typing import Unpack

from onnxq.cli.commands.describing import model_argument
from onnxq.cli.flags import SHOWN_LAST
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.keywords import InspectOptions
from onnxq.cli.presenting import present

_NOT_AS_ASKED = 1


@verb(
    arguments=(model_argument(),),
    headings={
        "Model": ("reference", "runtime", "input"),
        "Data": ("data", "preprocess", "map", "classes"),
        "Output": SHOWN_LAST,
    },
    examples=(
        "onnxq inspect model.onnx",
        "onnxq inspect model.onnx --data val.npz",
        "onnxq inspect model.int8.onnx --reference model.onnx --json",
        "onnxq inspect model.int8.onnx --runtime",
    ),
    about="With --data it says whether the rows fit, and how they would be fed; where they do not, "
    "or --runtime cannot run the model, it exits with 1.",
)
def inspect(asked: Invocation, model: str, **options: Unpack[InspectOptions]) -> int:
    """Show an .onnx file: signature, operators, quantized tensors."""
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.audits import NotAudited  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_json  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_inspection import render_inspection  # noqa: PLC0415 - rich

    everything = asked.shown.verbose > 0
    with listening(asked.shown) as tell:
        found = verbs.inspect(model, **options, tell=tell)
    present(
        asked.shown,
        lambda: tagged_json("inspection", found),
        lambda screen: render_inspection(found, model, screen, everything=everything),
    )
    fits = all(answer.fits for answer in found.data_fit)
    not_run = isinstance(found.audit, NotAudited) and bool(found.audit.reason)
    return 0 if fits and (found.kernels or not not_run) else _NOT_AS_ASKED
