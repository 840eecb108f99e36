"""Every flag, defined once: one name, one meaning, one help text, whichever verb has it.

A flag is called what the verb's keyword is called, and what the key in ``onnxq.toml`` is called.
"""

import click

from onnxq.cli.parameter_types import (
    Spec,
    WholeNumber,
    preset_names,
    provider_names,
    recipe_aliases,
)

_POSITIVE = WholeNumber(1)
_NOT_NEGATIVE = WholeNumber(0)

_MODEL = (
    click.Option(
        ["--weights"],
        metavar="FILE",
        type=Spec(),
        default="",
        help="Weights for the module that a factory returns: a state dict, .safetensors, .h5.",
    ),
    click.Option(
        ["--input"],
        metavar="NAME:SHAPE",
        multiple=True,
        help="Declare an input: x:Nx3x224x224, tokens:Nx32:int64:0..999. N is a free batch. "
        "Repeatable.",
    ),
    click.Option(
        ["--signature"], metavar="NAME", default="", help="Which signature of a SavedModel to use."
    ),
    click.Option(
        ["--trust"],
        is_flag=True,
        help="Let code in the model file run: for files whose maker you trust.",
    ),
    click.Option(
        ["--no-check", "check"],
        is_flag=True,
        flag_value=False,
        default=True,
        help="Don't compare the export with the source.",
    ),
)

_DATA = (
    click.Option(
        ["-d", "--data"],
        metavar="SPEC",
        type=Spec(),
        default="",
        help="Rows: an .npz keyed by input name (labels: y), a folder of images, .npy or .npz, a "
        ".csv, a .parquet, hf:NAME[SPLIT], or a function, pkg.mod:fn.",
    ),
    click.Option(
        ["--calib"],
        metavar="SPEC",
        type=Spec(),
        default="",
        help="Rows to calibrate on, in the same forms; where --data is there too, up to 256 rows "
        "of it are the default, and are judged on no more.",
    ),
    click.Option(
        ["--preprocess"],
        metavar="SPEC",
        type=Spec(preset_names),
        default="",
        help="How images become rows: imagenet, keras-caffe, zero-one, minus-one-one, or "
        "order=bgr,size=256,crop=224,scale=1,mean=...,std=...",
    ),
    click.Option(
        ["--map"],
        metavar="INPUT=ARRAY",
        multiple=True,
        help="Feed an input from an array of another name. Repeatable.",
    ),
    click.Option(
        ["--classes"],
        metavar="FILE|REGEX",
        type=Spec(),
        default="",
        help="Class names in order, or a pattern on file names whose group is the class.",
    ),
    click.Option(
        ["--limit"],
        metavar="N",
        type=_NOT_NEGATIVE,
        default=0,
        help="Use at most N rows.  [default: all]",
    ),
)

_JUDGING = (
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

_RECIPES = (
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

_LIMITS = (
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

_MEASURING = (
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
        type=_POSITIVE,
        multiple=True,
        help="Threads of one inference. Repeatable.  [default: 1 and all cores]",
    ),
    click.Option(
        ["--batch"],
        metavar="N",
        type=_NOT_NEGATIVE,
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
        type=_NOT_NEGATIVE,
        default=0,
        show_default=True,
        help="Of splits, probes and bootstraps.",
    ),
)

_OUTPUT = (
    click.Option(
        ["--reference"],
        metavar="FILE",
        type=Spec(),
        default="",
        help="The float model that it was made from: shows the error of each weight.  [default: "
        "the fp32 model that onnxq wrote beside it]",
    ),
    click.Option(
        ["-o", "--out"],
        metavar="DIR|FILE",
        type=Spec(),
        default="onnxq-out",
        show_default=True,
        help="Where files go: a folder; for convert and quantize also one .onnx file.",
    ),
    click.Option(["--overwrite"], is_flag=True, help="Replace what onnxq did not write."),
)

_SHOWN = (
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

FLAGS: dict[str, click.Option] = {
    str(option.name): option
    for group in (_MODEL, _DATA, _JUDGING, _RECIPES, _LIMITS, _MEASURING, _OUTPUT, _SHOWN)
    for option in group
}
"""Every flag by its keyword."""

PRESENTING = ("json", "quiet", "verbose", "color")
"""Flags that say how things are shown; every verb has them, and no keyword is called so."""

SETTING = ("config", "no_config")
"""Flags of the verbs whose options may come from a file."""

SHOWN_LAST = (*PRESENTING, *SETTING, "help")
"""What ends the help of a verb whose options may come from a file."""

SETTABLE: dict[str, click.Option] = {
    name: flag for name, flag in FLAGS.items() if name not in {*PRESENTING, *SETTING, "plan"}
}
"""Flags that a file or a variable may set: the keywords of the verbs."""


def flag_of(name: str) -> str:
    """Return the long form of the flag that a keyword has."""
    return max(FLAGS[name].opts, key=len)
