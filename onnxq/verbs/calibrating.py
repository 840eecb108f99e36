"""``calibrate`` and ``merge``: ranges are found out and kept, nothing is quantized."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from onnxq.datasets.values import DataRequest
from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.calibrations import execute_calibration
from onnxq.pipeline.planning import describe_calibration
from onnxq.pipeline.plans import CalibratePlan, Destination, Order
from onnxq.recipe_kinds import needs_rows
from onnxq.stages import NoDataRequest, StatisticsParts
from onnxq.verbs.asking import (
    ask_calibrating,
    ask_course,
    ask_destination,
    ask_orders,
    ask_rows,
    check_numbers,
    lower_limit,
    opened_model,
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
    RecipeText,
    RewriteText,
    RowCount,
    RowsText,
    ShardText,
    StatisticsPath,
    TargetText,
    WeightsPath,
)
from onnxq.verbs.verb import verb


@verb(execute_calibration, describe_calibration)
def calibrate(  # noqa: PLR0913 - one keyword an option, as on the command line
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
    shard: ShardText = "",
    cache_dir: FolderPath = "",
    cache: bool = True,
    recipe: tuple[RecipeText, ...] = (),
    operator: tuple[OperatorText, ...] = (),
    skip_operator: tuple[OperatorText, ...] = (),
    keep_float: tuple[GlobText, ...] = (),
    io: InterfaceText = "float",
    target: TargetText = "auto",
    rewrite: tuple[RewriteText, ...] = (),
    skip_rewrite: tuple[RewriteText, ...] = (),
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[CalibratePlan]:
    """Calibrate a model, and keep the statistics of its activations and the ranges chosen.

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
        shard: Which part of the rows to look at, such as ``2/4``; put together by
            :func:`onnxq.merge`.
        cache_dir: Where statistics of calibrations are kept and found again.
        cache: Keep and look for them.
        recipe: Static recipes that ranges are for; default: int8.
        operator: Quantize operators of these types only.
        skip_operator: Leave operators of these types float.
        keep_float: Leave nodes float whose names match one of these GLOBs.
        io: ``uint8`` or ``int8`` makes float inputs and outputs integers.
        target: The kind of CPU that will serve the model: ``x86-amx``, ``x86-vnni``, ``x86``,
            ``arm64``, or ``auto`` for this machine's.
        rewrite: Optional rewrites of the graph that are taken; see :func:`onnxq.rewrites`.
        skip_rewrite: Rewrites that are left out.
        seed: Of random probes.
        out: The output folder.
        overwrite: Replace a folder that onnxq did not write.
        command: What was typed; for the document.
        tell: Who listens to events.

    Returns:
        What was done. ``<stem>.statistics`` and ``<stem>.ranges.json`` lie in ``out``; of one
        shard of several, the statistics alone.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    check_numbers(limit=limit, seed=seed)
    calibrating = ask_calibrating(
        calib_rows=calib_rows,
        histogram_sample=histogram_sample,
        max_memory=max_memory,
        shard=shard,
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
    if not isinstance(rows, DataRequest):
        message = "there is nothing to calibrate on."
        raise UsageError(message, code="OQ100", hint="Give rows: --calib train.npz")
    orders = _ask_static(
        recipe, operator=operator, skip_operator=skip_operator, keep_float=keep_float, io=io
    )
    tuning = ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell)
    destination = _ask_folder(out, overwrite=overwrite, named=recipe)
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
        yield CalibratePlan(
            given=given,
            calibration=rows,
            calibrating=calibrating,
            orders=orders,
            out=destination,
            course=ask_course("calibrate", model, command, tell),
            tuning=tuning,
        )


@verb(execute_calibration, describe_calibration)
def merge(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: object,
    parts: tuple[StatisticsPath, ...],
    *,
    weights: WeightsPath = "",
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    recipe: tuple[RecipeText, ...] = (),
    operator: tuple[OperatorText, ...] = (),
    skip_operator: tuple[OperatorText, ...] = (),
    keep_float: tuple[GlobText, ...] = (),
    io: InterfaceText = "float",
    target: TargetText = "auto",
    rewrite: tuple[RewriteText, ...] = (),
    skip_rewrite: tuple[RewriteText, ...] = (),
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[CalibratePlan]:
    """Put statistics of several shards together, and choose the ranges.

    Args:
        model: The model that each shard was calibrated with.
        parts: ``.statistics`` files of :func:`onnxq.calibrate`, which together cover all rows.
        weights: Weights for the model that a factory returns.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``.
        signature: Which signature of a SavedModel; default: ``serving_default``.
        trust: Let code from the model file run.
        check: Compare the export with the source.
        recipe: Static recipes that ranges are for; default: int8.
        operator: Quantize operators of these types only.
        skip_operator: Leave operators of these types float.
        keep_float: Leave nodes float whose names match one of these GLOBs.
        io: ``uint8`` or ``int8`` makes float inputs and outputs integers.
        target: The kind of CPU that will serve the model: ``x86-amx``, ``x86-vnni``, ``x86``,
            ``arm64``, or ``auto`` for this machine's.
        rewrite: Optional rewrites of the graph that are taken; see :func:`onnxq.rewrites`.
        skip_rewrite: Rewrites that are left out.
        seed: Of random probes.
        out: The output folder.
        overwrite: Replace a folder that onnxq did not write.
        command: What was typed; for the document.
        tell: Who listens to events.

    Returns:
        What was done. The files are those that :func:`onnxq.calibrate` writes of all rows.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    check_numbers(seed=seed)
    if not parts:
        message = "there is nothing to merge."
        raise UsageError(message, code="OQ100", hint="Name the parts: onnxq merge MODEL PART...")
    orders = _ask_static(
        recipe, operator=operator, skip_operator=skip_operator, keep_float=keep_float, io=io
    )
    tuning = ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell)
    destination = _ask_folder(out, overwrite=overwrite, named=(*recipe, *parts))
    with opened_model(
        model,
        data=NoDataRequest(),
        weights=weights,
        input=input,
        signature=signature,
        trust=trust,
        check=check,
        seed=seed,
    ) as given:
        yield CalibratePlan(
            given=given,
            calibration=StatisticsParts(tuple(str(Path(part).absolute()) for part in parts)),
            calibrating=ask_calibrating(cache=False),
            orders=orders,
            out=destination,
            course=ask_course("merge", model, command, tell),
            tuning=tuning,
        )


def _ask_static(
    recipe: Sequence[str],
    *,
    operator: Sequence[str],
    skip_operator: Sequence[str],
    keep_float: Sequence[str],
    io: str,
) -> dict[str, Order]:
    orders = ask_orders(
        recipe or ("int8",),
        operator=operator,
        skip_operator=skip_operator,
        keep_float=keep_float,
        io=io,
    )
    idle = next((a for a, order in orders.items() if not needs_rows(order.recipe)), "")
    if idle:
        message = f"recipe {idle!r} has no ranges to calibrate."
        raise UsageError(message, code="OQ100", hint="Name static recipes: -r int8 -r int8-minmax")
    return orders


def _ask_folder(out: str, *, overwrite: bool, named: Sequence[str]) -> Destination:
    destination = ask_destination(out, overwrite=overwrite, named=named)
    if destination.is_file:
        message = f"--out {destination.path.name} names a model, and ranges go into a folder."
        raise UsageError(message, code="OQ100", hint="Name a folder: -o onnxq-out")
    return destination
