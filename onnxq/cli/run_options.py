"""The flags of ``onnxq run``: their names, their order in the help, what they say."""

from collections.abc import Callable
from functools import reduce
from typing import TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., object])


class WholeNumber(click.ParamType[int]):
    """A whole number with a least value, which the help does not repeat as ``[x>=1]``.

    Attributes:
        least: The smallest number taken.
    """

    name = "whole number"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse a number; fail as a usage error where it is none, or too small."""
        try:
            number = int(value)
        except ValueError:
            number = self.least - 1
        if number < self.least:
            self.fail(f"{value!r} is not a whole number of {self.least} or more.", param, ctx)
        return number


_POSITIVE = WholeNumber(1)
_NOT_NEGATIVE = WholeNumber(0)

RUN_HEADINGS: dict[str, tuple[str, ...]] = {
    "Model": ("weights", "input", "check"),
    "Data": ("data", "calib", "preprocess", "map", "classes", "limit", "allow_chance_accuracy"),
    "Recipes": ("recipe",),
    "Limits (exit 3 where one is not met)": ("max_drop", "min_speedup", "max_size"),
    "Timing": ("threads", "batch", "seconds", "seed"),
}

RUN_EXAMPLES = (
    "onnxq run model.keras --data val.npz",
    "onnxq run model.onnx -d images/ --preprocess imagenet --max-drop 1pp",
    "onnxq run nets.py:build --weights w.pth --input x:Nx3x32x32 -d val.npz",
    "onnxq run model.onnx -d val.npz -r int8 -r int8-minmax --json > report.json",
)

_OPTIONS = (
    click.argument("model"),
    click.option(
        "--weights", metavar="FILE", default="", help="A state dict for a PyTorch factory's module."
    ),
    click.option(
        "--input",
        metavar="NAME:SHAPE",
        multiple=True,
        help="Declare an input: x:Nx3x224x224, tokens:Nx32:int64:0..999. N is a free batch. "
        "Repeatable.",
    ),
    click.option(
        "--no-check",
        "check",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Don't compare the export with the source.",
    ),
    click.option(
        "-d",
        "--data",
        metavar="SPEC",
        default="",
        help="Rows to judge on: an .npz keyed by input name (labels: y), or an image folder.",
    ),
    click.option(
        "--calib",
        metavar="SPEC",
        default="",
        help="Rows to calibrate on.  [default: up to 256 rows of --data, kept apart]",
    ),
    click.option(
        "--preprocess",
        metavar="SPEC",
        default="",
        help="How images become rows: imagenet, keras-caffe, zero-one, minus-one-one, or "
        "order=bgr,size=256,crop=224,scale=1,mean=...,std=...",
    ),
    click.option(
        "--map",
        metavar="INPUT=ARRAY",
        multiple=True,
        help="Feed an input from an array of another name. Repeatable.",
    ),
    click.option(
        "--classes",
        metavar="FILE|REGEX",
        default="",
        help="Class names in order, or a pattern on file names whose group is the class.",
    ),
    click.option(
        "--limit",
        metavar="N",
        type=_NOT_NEGATIVE,
        default=0,
        help="Use at most N rows.  [default: all]",
    ),
    click.option(
        "--allow-chance-accuracy",
        is_flag=True,
        help="Go on where the float model is no better than guessing.",
    ),
    click.option(
        "-r",
        "--recipe",
        metavar="NAME",
        multiple=True,
        help="int8, int8-minmax, int8-dynamic, fp32. Repeatable.  [default: fp32, int8 and "
        "int8-dynamic where they apply]",
    ),
    click.option(
        "--max-drop",
        metavar="1pp",
        default="",
        help="Largest acceptable drop: 1pp, 1%, 0.01.  [default: 1pp of a rate]",
    ),
    click.option(
        "--min-speedup", metavar="1.5x", default="", help="Least speed-up worth shipping."
    ),
    click.option("--max-size", metavar="20MB", default="", help="Largest acceptable file."),
    click.option(
        "--threads",
        metavar="N",
        type=_POSITIVE,
        multiple=True,
        help="Threads of one inference. Repeatable.  [default: 1 and all cores]",
    ),
    click.option(
        "--batch",
        metavar="N",
        type=WholeNumber(0),
        default=0,
        show_default="1, or the model's own fixed batch",
        help="Rows of one inference.",
    ),
    click.option(
        "--seconds",
        metavar="S",
        type=float,
        default=20.0,
        show_default=True,
        help="Time for measuring latency, all models together.",
    ),
    click.option(
        "--seed",
        metavar="N",
        type=_NOT_NEGATIVE,
        default=0,
        show_default=True,
        help="Of splits, probes and bootstraps.",
    ),
    click.option(
        "-o",
        "--out",
        metavar="DIR",
        default="onnxq-out",
        show_default=True,
        help="Where models, report.json and serve.py go.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace a folder that onnxq did not write."),
)


def run_options(function: _F) -> _F:
    """Give a function the flags of ``onnxq run``."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)
