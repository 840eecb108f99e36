"""``quantize``: models are built by recipes; nothing is measured."""

from collections.abc import Iterator
from pathlib import Path

from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.planning import describe_quantization
from onnxq.pipeline.plans import Destination, Order, QuantizePlan
from onnxq.pipeline.quantizations import execute_quantization
from onnxq.ranges_files import read_ranges_file
from onnxq.recipe_kinds import needs_rows
from onnxq.verbs.asking import (
    ask_calibrating,
    ask_course,
    ask_model_destination,
    ask_orders,
    ask_rows,
    check_numbers,
    lower_limit,
    opened_model,
    refuse,
)
from onnxq.verbs.asking_tuning import ask_tuning
from onnxq.verbs.option_types import (
    ClassesText,
    FolderPath,
    GlobText,
    InputText,
    InterfaceText,
    MapText,
    MemoryText,
    OperatorText,
    PreprocessText,
    RangesPath,
    RecipeText,
    RewriteText,
    RowCount,
    RowsText,
    TargetText,
    WeightsPath,
)
from onnxq.verbs.verb import verb


@verb(execute_quantization, describe_quantization)
def quantize(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: object,
    *,
    weights: WeightsPath = "",
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    calib: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    classes: ClassesText = "",
    limit: int = 0,
    calib_rows: RowCount = "",
    histogram_sample: int = 1,
    max_memory: MemoryText = "",
    cache_dir: FolderPath = "",
    cache: bool = True,
    ranges: RangesPath = "",
    recipe: tuple[RecipeText, ...] = (),
    operator: tuple[OperatorText, ...] = (),
    skip_operator: tuple[OperatorText, ...] = (),
    keep_float: tuple[GlobText, ...] = (),
    io: InterfaceText = "float",
    strict: bool = False,
    target: TargetText = "auto",
    rewrite: tuple[RewriteText, ...] = (),
    skip_rewrite: tuple[RewriteText, ...] = (),
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[QuantizePlan]:
    """Quantize a model by recipes; what passes its gates is written, nothing is measured.

    Args:
        model: As for :func:`onnxq.run`.
        weights: Weights for the model that a factory returns.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``.
        signature: Which signature of a SavedModel; default: ``serving_default``.
        trust: Let code from the model file run.
        check: Compare the export with the source.
        calib: Rows to calibrate on.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        limit: Most rows used; 0 uses all.
        calib_rows: Most rows to calibrate on, or ``auto`` to stop once the ranges have settled.
        histogram_sample: Count every so-many-th value: quicker, approximate.
        max_memory: Most memory that calibrating may take beyond its process, such as ``2GB``;
            default: half of what is free.
        cache_dir: Where statistics of calibrations are kept and found again.
        cache: Keep and look for them.
        ranges: A file of ranges, as this and ``calibrate`` write it, in the place of ``calib``.
        recipe: Recipes by alias, name or file; default: int8 with ``calib`` or
            ``ranges``, else int8-dynamic.
        operator: Quantize operators of these types only.
        skip_operator: Leave operators of these types float.
        keep_float: Leave nodes float whose names match one of these GLOBs.
        io: ``uint8`` or ``int8`` makes float inputs and outputs integers.
        strict: A node that was asked for and stays float is an error.
        target: The kind of CPU that will serve the model: ``x86-amx``, ``x86-vnni``, ``x86``,
            ``arm64``, or ``auto`` for this machine's.
        rewrite: Optional rewrites of the graph that are taken; see :func:`onnxq.rewrites`.
        skip_rewrite: Rewrites that are left out.
        seed: Of random probes.
        out: The output folder, or one ``.onnx`` file for one recipe.
        overwrite: Replace a folder or file that onnxq did not write.
        command: What was typed; for the document.
        tell: Who listens to events.

    Returns:
        What was done.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    check_numbers(limit=limit, seed=seed)
    calibrating = ask_calibrating(
        calib_rows=calib_rows,
        histogram_sample=histogram_sample,
        max_memory=max_memory,
        cache_dir=cache_dir,
        cache=cache,
    )
    rows = ask_rows(
        calib,
        preprocess=preprocess,
        map=map,
        classes=classes,
        limit=lower_limit(limit, calibrating.rows),
        seed=seed,
    )
    if ranges and (calib or calib_rows or histogram_sample > 1):
        refuse(
            "--ranges are calibrated already, and nothing is calibrated with them.",
            hint="Leave --calib, --calib-rows and --histogram-sample out, or --ranges.",
        )
    orders = ask_orders(
        recipe or (("int8",) if calib or ranges else ("int8-dynamic",)),
        operator=operator,
        skip_operator=skip_operator,
        keep_float=keep_float,
        io=io,
        strict=strict,
    )
    tuning = ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell)
    destination = ask_model_destination(
        out, overwrite=overwrite, named=(*recipe, *([ranges] if ranges else []))
    )
    _check_one(destination, orders)
    if ranges and not any(needs_rows(order.recipe) for order in orders.values()):
        refuse(
            "--ranges are for static recipes, and none was asked for.",
            hint="Add one, such as -r int8, or leave --ranges out.",
        )
    if ranges:
        read_ranges_file(Path(ranges))  # refused now, not after the model was converted
    with opened_model(
        model,
        data=rows,
        weights=weights,
        input=input,
        signature=signature,
        trust=trust,
        check=check,
        seed=seed,
    ) as given:
        yield QuantizePlan(
            given=given,
            calibration=rows,
            calibrating=calibrating,
            ranges=ranges and str(Path(ranges).absolute()),
            orders=orders,
            out=destination,
            course=ask_course("quantize", model, command, tell),
            tuning=tuning,
        )


def _check_one(out: Destination, orders: dict[str, Order]) -> None:
    if out.is_file and len(orders) > 1:
        message = f"--out {out.path.name} is one file, and there are {len(orders)} recipes."
        raise UsageError(message, code="OQ100", hint="Name a folder: -o onnxq-out")
