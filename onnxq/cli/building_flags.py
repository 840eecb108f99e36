"""What says how ranges are calibrated, and what is built."""

import click

from onnxq.cli.parameter_types import Spec, WholeNumber, recipe_aliases

CALIBRATION = (
    click.Option(
        ["--calib-rows"],
        metavar="N|auto",
        type=Spec(lambda: ("auto",), takes_count=True),
        default="",
        help="Calibrate on at most N rows; auto: until more would hardly change the ranges.  "
        "[default: all of --calib]",
    ),
    click.Option(
        ["--histogram-sample"],
        metavar="N",
        type=WholeNumber(1),
        default=1,
        show_default=True,
        help="Count every N-th value alone: quicker, and approximate.",
    ),
    click.Option(
        ["--max-memory"],
        metavar="2GB",
        default="",
        help="Most memory of calibrating, beyond that of its process; several passes keep it.  "
        "[default: half of what is free]",
    ),
    click.Option(
        ["--shard"],
        metavar="I/N",
        default="",
        help="Look at one of N parts of the rows alone: 2/4. onnxq merge puts them together.",
    ),
    click.Option(
        ["--ranges"],
        metavar="FILE",
        type=Spec(),
        default="",
        help="Ranges as calibrate and quantize write them, in the place of --calib.",
    ),
    click.Option(
        ["--cache-dir"],
        metavar="DIR",
        type=Spec(),
        default="",
        help="Where calibrations are kept and found again.  [default: the user's cache folder]",
    ),
    click.Option(
        ["--no-cache", "cache"],
        is_flag=True,
        flag_value=False,
        default=True,
        help="Neither keep a calibration nor look for a kept one.",
    ),
)
"""How ranges are calibrated."""

RECIPES = (
    click.Option(
        ["-r", "--recipe"],
        metavar="NAME|FILE",
        type=Spec(recipe_aliases),
        multiple=True,
        help="A recipe, or a .toml file with one: see onnxq recipes. Repeatable.",
    ),
    click.Option(
        ["--operator"],
        metavar="OP",
        multiple=True,
        help="Quantize no other operators: Conv, MatMul. Repeatable.",
    ),
    click.Option(
        ["--skip-operator"],
        metavar="OP",
        multiple=True,
        help="Leave operators in float: Softmax. Repeatable.",
    ),
    click.Option(
        ["--keep-float"],
        metavar="GLOB",
        multiple=True,
        help="Leave nodes in float, by name: 'head/*'. Repeatable.",
    ),
    click.Option(
        ["--io"],
        type=click.Choice(["float", "uint8", "int8"]),
        default="float",
        show_default=True,
        help="What the quantized model takes and returns.",
    ),
    click.Option(
        ["--strict"],
        is_flag=True,
        help="Stop, with exit 3, where an operator asked for stays in float.",
    ),
)
"""By which recipes models are built, and what stays in float."""

TUNING = (
    click.Option(
        ["--target"],
        type=click.Choice(["auto", "x86-amx", "x86-vnni", "x86", "arm64"]),
        default="auto",
        show_default=True,
        help="The kind of CPU that will serve the model; auto: this machine's.",
    ),
    click.Option(
        ["--rewrite"],
        metavar="NAME",
        multiple=True,
        help="Take an optional rewrite of the graph: see onnxq rewrites. Repeatable.",
    ),
    click.Option(
        ["--skip-rewrite"],
        metavar="NAME",
        multiple=True,
        help="Leave a rewrite of the graph out. Repeatable.",
    ),
)
"""For which CPU graphs are made fit, and how."""
