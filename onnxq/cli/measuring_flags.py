"""What says how models are judged and timed, and what the user demands of them."""

import click

from onnxq.cli.parameter_types import Spec, WholeNumber, provider_names

JUDGING = (
    click.Option(
        ["--metric"],
        metavar="NAME",
        default="",
        help="What rows with labels are judged by: top1, top5, f1, auroc, mse, ..., or a "
        "function, pkg.mod:fn.  [default: by the labels]",
    ),
    click.Option(
        ["--judge-output"],
        metavar="NAME",
        default="",
        help="Which output the labels belong to, where there are several.",
    ),
    click.Option(
        ["--allow-chance-accuracy"],
        is_flag=True,
        help="Go on where the float model is no better than guessing.",
    ),
)
"""How rows with labels are judged."""

LIMITS = (
    click.Option(
        ["--max-drop"],
        metavar="1pp",
        default="",
        help="Largest acceptable drop: 1pp, 1%, 0.01.  [default: 1pp of a rate]",
    ),
    click.Option(
        ["--min-speedup"], metavar="1.5x", default="", help="Least speed-up worth shipping."
    ),
    click.Option(["--max-size"], metavar="20MB", default="", help="Largest acceptable file."),
)
"""What the user demands."""

MEASURING = (
    click.Option(
        ["--no-measure", "measure"],
        is_flag=True,
        flag_value=False,
        default=True,
        help="Don't measure latency.",
    ),
    click.Option(
        ["--provider"],
        metavar="NAME",
        type=Spec(provider_names),
        multiple=True,
        default=("cpu",),
        show_default="cpu",
        help="What runs the models: cpu, openvino, dnnl, xnnpack. Repeatable.",
    ),
    click.Option(
        ["--threads"],
        metavar="N",
        type=WholeNumber(1),
        multiple=True,
        help="Threads of one inference. Repeatable.  [default: 1 and all cores]",
    ),
    click.Option(
        ["--batch"],
        metavar="N",
        type=WholeNumber(0),
        default=0,
        help="Rows of one inference.  [default: 1, or the model's own fixed batch]",
    ),
    click.Option(
        ["--seconds"],
        metavar="S",
        type=float,
        default=20.0,
        show_default=True,
        help="Time for measuring latency, all models together.",
    ),
    click.Option(
        ["--seed"],
        metavar="N",
        type=WholeNumber(0),
        default=0,
        show_default=True,
        help="Of splits, probes and bootstraps.",
    ),
)
"""How models are timed."""
