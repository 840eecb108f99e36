"""``run``: all of it."""

from collections.abc import Iterator

from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.metric_choices import parse_metric
from onnxq.options import drop_metric, parse_max_drop, parse_min_speedup, parse_size_bytes
from onnxq.pipeline import execute_plan
from onnxq.pipeline.planning import describe_run
from onnxq.pipeline.plans import Destination, Order, RunPlan
from onnxq.recipe_kinds import DEFAULT_RECIPES, Float32
from onnxq.reports import Limits
from onnxq.verbs.asking import (
    ask_calibrating,
    ask_course,
    ask_destination,
    ask_judging,
    ask_orders,
    ask_rows,
    ask_timing,
    check_numbers,
    lower_limit,
    opened_model,
    refuse,
)
from onnxq.verbs.asking_tuning import ask_tuning
from onnxq.verbs.option_types import (
    ClassesText,
    DropText,
    FolderPath,
    GlobText,
    InputText,
    InterfaceText,
    MapText,
    MemoryText,
    MetricText,
    OperatorText,
    PreprocessText,
    RecipeText,
    RewriteText,
    RowCount,
    RowsText,
    SizeText,
    SpeedupText,
    TargetText,
    WeightsPath,
)
from onnxq.verbs.verb import verb

INTEGER_RECIPES = ("fp32", "int8")
"""What a bare ``run --io uint8`` builds: those that can have integer inputs and outputs."""


@verb(execute_plan, describe_run)
def run(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: object,
    *,
    weights: WeightsPath = "",
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    data: RowsText = "",
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
    allow_chance_accuracy: bool = False,
    metric: MetricText = "",
    judge_output: str = "",
    recipe: tuple[RecipeText, ...] = (),
    operator: tuple[OperatorText, ...] = (),
    skip_operator: tuple[OperatorText, ...] = (),
    keep_float: tuple[GlobText, ...] = (),
    io: InterfaceText = "float",
    strict: bool = False,
    target: TargetText = "auto",
    rewrite: tuple[RewriteText, ...] = (),
    skip_rewrite: tuple[RewriteText, ...] = (),
    max_drop: DropText = "",
    min_speedup: SpeedupText = "",
    max_size: SizeText = "",
    threads: tuple[int, ...] = (),
    batch: int = 0,
    seconds: float = 20.0,
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[RunPlan]:
    """Convert, check, quantize, measure and judge a model, and write the candidates.

    Args:
        model: A ``.keras``, ``.h5``, ``.tflite``, ``.pt2`` or ``.onnx`` file, a SavedModel
            folder, a factory (``pkg.mod:fn`` or ``file.py:fn``), or a live ``nn.Module`` or
            Keras model.
        weights: Weights for the model that a factory returns.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``.
        signature: Which signature of a SavedModel; default: ``serving_default``.
        trust: Let code from the model file run.
        check: Compare the export with the source.
        data: Rows to evaluate on.
        calib: Rows to calibrate on; without it a part of ``data`` is kept for that.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        limit: Most rows used; 0 uses all.
        allow_chance_accuracy: Go on where the float model only guesses.
        metric: What is computed against the labels; default: told from them.
        judge_output: The output that the labels are about, where there are several.
        calib_rows: Most rows to calibrate on, or ``auto`` to stop once the ranges have settled.
        histogram_sample: Count every so-many-th value: quicker, approximate.
        max_memory: Most memory that calibrating may take beyond its process, such as ``2GB``;
            default: half of what is free.
        cache_dir: Where statistics of calibrations are kept and found again.
        cache: Keep and look for them.
        recipe: Recipes by alias, name or file; default: fp32, int8 and int8-dynamic where they
            apply, and what a search then finds to be faster.
        operator: Quantize operators of these types only.
        skip_operator: Leave operators of these types float.
        keep_float: Leave nodes float whose names match one of these GLOBs.
        io: ``uint8`` or ``int8`` makes float inputs and outputs integers.
        strict: A node that was asked for and stays float is an error.
        target: The kind of CPU that will serve the model: ``x86-amx``, ``x86-vnni``, ``x86``,
            ``arm64``, or ``auto`` for this machine's.
        rewrite: Optional rewrites of the graph that are taken; see :func:`onnxq.rewrites`.
        skip_rewrite: Rewrites that are left out.
        max_drop: Largest acceptable drop of the metric, such as ``1pp``.
        min_speedup: Least ratio that counts as fast, such as ``1.5x``.
        max_size: Largest acceptable file, such as ``20MB``.
        threads: Thread counts that latency is measured at; default: 1 and all cores.
        batch: Rows of one inference; 0 is the model's own fixed batch, or 1 where it is free.
        seconds: Wall time for measuring latency, all candidates together.
        seed: Of splits, random probes and bootstraps.
        out: The output folder.
        overwrite: Replace an output folder that onnxq did not write.
        command: What was typed; for the report.
        tell: Who listens to events.

    Returns:
        The report. The candidates lie in ``out``, with ``report.json`` and ``serve.py``.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    _check_together(data=data, calib=calib, max_drop=max_drop, metric=metric)
    check_numbers(limit=limit, seed=seed)
    rows = ask_rows(data, preprocess=preprocess, map=map, classes=classes, limit=limit, seed=seed)
    orders = ask_orders(
        recipe or (DEFAULT_RECIPES if io == "float" else INTEGER_RECIPES),
        operator=operator,
        skip_operator=skip_operator,
        keep_float=keep_float,
        io=io,
        strict=strict,
    )
    tuning = ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell)
    calibrating = ask_calibrating(
        calib_rows=calib_rows,
        histogram_sample=histogram_sample,
        max_memory=max_memory,
        cache_dir=cache_dir,
        cache=cache,
    )
    limits = _limits(max_drop, min_speedup, max_size, metric)
    judging = ask_judging(metric=metric, judge_output=judge_output, seed=seed)
    timing = ask_timing(threads=threads, batch=batch, seconds=seconds, seed=seed)
    destination = ask_destination(out, overwrite=overwrite, named=(*recipe, metric))
    _check_folder(destination)
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
        yield RunPlan(
            given=given,
            data=rows,
            calibration=ask_rows(
                calib,
                preprocess=preprocess,
                map=map,
                classes=classes,
                limit=lower_limit(limit, calibrating.rows),
                seed=seed,
            ),
            calibrating=calibrating,
            orders={"fp32": Order(recipe=Float32()), **orders},
            recipes_named=bool(recipe),
            limits=limits,
            judging=judging,
            timing=timing,
            allow_chance_accuracy=allow_chance_accuracy,
            out=destination,
            course=ask_course("run", model, command, tell),
            tuning=tuning,
        )


def _check_folder(out: Destination) -> None:
    if out.is_file:
        message = f"--out {out.path.name} names a file, and a run writes a folder."
        hint = "Name a folder: -o onnxq-out. One file comes from onnxq convert or onnxq quantize."
        raise UsageError(message, code="OQ100", hint=hint)


def _limits(max_drop: str, min_speedup: str, max_size: str, metric: str) -> Limits:
    limits = Limits()
    return Limits(
        max_drop=parse_max_drop(max_drop, parse_metric(metric)) if max_drop else limits.max_drop,
        max_drop_given=bool(max_drop),
        max_drop_metric=drop_metric(max_drop),
        min_speedup=parse_min_speedup(min_speedup) if min_speedup else limits.min_speedup,
        min_speedup_given=bool(min_speedup),
        max_size_bytes=parse_size_bytes(max_size) if max_size else 0,
    )


def _check_together(*, data: str, calib: str, max_drop: str, metric: str) -> None:
    """Refuse options that contradict each other, before any work is done."""
    complaint = ""
    if max_drop and not data:
        complaint = "--max-drop needs labelled rows to measure a drop on: give --data."
    elif metric and not data:
        complaint = "--metric needs labelled rows: give --data."
    elif calib and not data:
        complaint = "--calib without --data: the result could not be judged. Give --data too."
    refuse(complaint)
