"""What says where files go, and how a verb shows what it did."""

import click

from onnxq.cli.parameter_types import Spec

OUTPUT = (
    click.Option(
        ["--reference"],
        metavar="FILE",
        type=Spec(),
        default="",
        help="The float model that it was made from: shows the error of each weight.  [default: "
        "the fp32 model that onnxq wrote beside it]",
    ),
    click.Option(
        ["--runtime"],
        is_flag=True,
        help="Run it, and show what onnxruntime makes of it: what runs on integers, and why not.",
    ),
    click.Option(
        ["-o", "--out"],
        metavar="DIR|FILE",
        type=Spec(),
        default="onnxq-out",
        show_default=True,
        help="Where files go: a folder; for convert, quantize and repair also one .onnx file.",
    ),
    click.Option(["--overwrite"], is_flag=True, help="Replace what onnxq did not write."),
)
"""Where files go."""

SHOWN = (
    click.Option(["--plan"], is_flag=True, help="Say what would be done, and do nothing."),
    click.Option(["--json"], is_flag=True, help="One JSON document on stdout, nothing else."),
    click.Option(["-q", "--quiet"], count=True, help="No progress; -qq: no report either."),
    click.Option(
        ["-v", "--verbose"],
        count=True,
        help="More: each node and tensor, what came from settings, the code that serves.",
    ),
    click.Option(
        ["--color"],
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colours.  [default: auto: a terminal without NO_COLOR]",
    ),
    click.Option(
        ["--config"],
        metavar="FILE",
        type=Spec(),
        default="",
        help="Read options from this file.  [default: onnxq.toml, or [tool.onnxq] in "
        "pyproject.toml]",
    ),
    click.Option(["--no-config"], is_flag=True, help="Read options from no file."),
)
"""How things are shown."""
