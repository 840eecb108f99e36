"""What says which model is read, and which rows."""

import click

from onnxq.cli.parameter_types import Spec, WholeNumber, preset_names

MODEL = (
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
"""Which model, and how it is read."""

DATA = (
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
        help="Rows to calibrate on: an .npz keyed by input name, a folder of images, .npy or .npz, "
        "a .csv, a .parquet, hf:NAME[SPLIT], or a function, pkg.mod:fn.  [default: none; of run: "
        "a fifth of --data, 256 rows at most, judged on no more]",
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
        type=WholeNumber(0),
        default=0,
        help="Use at most N rows.  [default: all]",
    ),
)
"""Which rows, and how they become a model's inputs."""
