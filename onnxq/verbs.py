"""The verbs: what the command line and ``import onnxq`` offer, under the same names.

Every option has one name: flag, keyword and field of the report's JSON.
"""

import math
import shlex
import tempfile
from pathlib import Path

from msgspec.structs import replace

from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.doctoring import Doctor, examine
from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.interruption import interruptible
from onnxq.isolation import Workplace, default_limits, run_stage
from onnxq.options import (
    drop_metric,
    parse_map,
    parse_max_drop,
    parse_min_speedup,
    parse_size_bytes,
)
from onnxq.pipeline import RunPlan, execute_plan
from onnxq.pipeline.private_copies import copy_source
from onnxq.profiling.environment import usable_cores
from onnxq.recipes import DEFAULT_RECIPES, Float32, Recipe, alias_of, parse_recipe
from onnxq.reports import Limits, Report
from onnxq.source_parsing import parse_input, parse_source
from onnxq.sources import OnnxFile, source_path
from onnxq.stages import INSPECT, InspectRequest, InspectResult, NoDataRequest

_MOST_SEEDS = 2**32


def run(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: str,
    *,
    weights: str = "",
    input: tuple[str, ...] = (),  # noqa: A002 - the flag's name
    data: str = "",
    calib: str = "",
    preprocess: str = "",
    map: tuple[str, ...] = (),  # noqa: A002 - the flag's name
    classes: str = "",
    recipe: tuple[str, ...] = (),
    max_drop: str = "",
    min_speedup: str = "",
    max_size: str = "",
    threads: tuple[int, ...] = (),
    batch: int = 0,
    seconds: float = 20.0,
    limit: int = 0,
    seed: int = 0,
    out: str = "onnxq-out",
    overwrite: bool = False,
    check: bool = True,
    allow_chance_accuracy: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Report:
    """Convert, check, quantize, measure and judge a model, and write the candidates.

    Args:
        model: A ``.keras``, ``.h5`` or ``.onnx`` file, or a PyTorch factory: ``pkg.mod:fn`` or
            ``file.py:fn``.
        weights: A state dict for the module that the factory returns.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``.
        data: Rows to evaluate on: an ``.npz`` file or an image folder.
        calib: Rows to calibrate on; without it a part of ``data`` is kept for that.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        recipe: Recipes by alias or name; default: fp32, int8 and int8-dynamic where they apply.
        max_drop: Largest acceptable drop of the metric, such as ``1pp``.
        min_speedup: Least ratio that counts as fast, such as ``1.5x``.
        max_size: Largest acceptable file, such as ``20MB``.
        threads: Thread counts that latency is measured at; default: 1 and all cores.
        batch: Rows of one inference; 0 is the model's own fixed batch, or 1 where it is free.
        seconds: Wall time for measuring latency, all candidates together.
        limit: Most rows used; 0 uses all.
        seed: Of splits, random probes and bootstraps.
        out: The output folder.
        overwrite: Replace an output folder that onnxq did not write.
        check: Compare the export with the source.
        allow_chance_accuracy: Go on where the float model only guesses.
        command: What was typed; for the report.
        tell: Who listens to events.

    Returns:
        The report. The candidates lie in ``out``, with ``report.json`` and ``serve.py``.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    recipes = _recipes(recipe)
    mapping = parse_map(map)
    prepared = parse_preprocess(preprocess) if preprocess else AsGiven()

    def request(spec: str) -> DataRequest | NoDataRequest:
        if not spec:
            return NoDataRequest()
        return DataRequest(
            spec=spec,
            preprocess=prepared,
            mapping=mapping,
            classes=classes,
            limit_rows=limit,
            seed=seed,
        )

    _check_together(data=data, calib=calib, max_drop=max_drop)
    _check_numbers(batch=batch, threads=threads, seconds=seconds, limit=limit, seed=seed)
    plan = RunPlan(
        source=parse_source(model, weights=weights),
        declared=tuple(parse_input(text) for text in input),
        data=request(data),
        calibration=request(calib),
        recipes=recipes,
        recipes_named=bool(recipe),
        limits=_limits(max_drop, min_speedup, max_size),
        threads=tuple(dict.fromkeys(threads)) or _default_threads(),
        batch_rows=batch,
        timing_seconds=seconds,
        seed=seed,
        out=Path(out).absolute(),
        overwrite=overwrite,
        check=check,
        allow_chance_accuracy=allow_chance_accuracy,
        command=command or ("onnxq", "run", shlex.quote(model)),
        child_limits=default_limits(),
        work_threads=usable_cores(),
    )
    with interruptible():
        return execute_plan(plan, tell)


def inspect(model: str, *, tell: Tell = tell_nobody) -> InspectResult:
    """Describe an ``.onnx`` file: signature, operators, how each tensor is quantized.

    Args:
        model: The file.
        tell: Who listens to events.

    Returns:
        What it is.

    Raises:
        SourceError: If it is not a whole ONNX file.
        UsageError: If it is of another kind, to be converted first.
    """
    source = parse_source(model, weights="")
    if not isinstance(source, OnnxFile):
        message = f"inspect reads .onnx files; {model!r} is a source to be converted."
        raise UsageError(message, code="OQ100", hint=f"Convert it first: onnxq run {model} …")
    with interruptible(), tempfile.TemporaryDirectory(prefix="onnxq-") as folder:
        copies = Path(folder) / "source"
        copies.mkdir()
        copy = source_path(copy_source(source, copies))
        place = Workplace(Path(folder), default_limits(), tell)
        result = run_stage(INSPECT, InspectRequest(path=copy), place)
    return replace(result, model=replace(result.model, path=model))


def doctor(file: str = "", *, tell: Tell = tell_nobody) -> Doctor:
    """Describe this machine, its packages, and what a file would need.

    Args:
        file: A model file; empty to describe the machine alone.
        tell: Who listens to events.

    Returns:
        What was found.
    """
    return examine(file, tell)


def _recipes(named: tuple[str, ...]) -> dict[str, Recipe]:
    recipes = [parse_recipe(text) for text in named or DEFAULT_RECIPES]
    return {alias_of(recipe): recipe for recipe in (Float32(), *recipes)}


def _limits(max_drop: str, min_speedup: str, max_size: str) -> Limits:
    limits = Limits()
    return Limits(
        max_drop=parse_max_drop(max_drop) if max_drop else limits.max_drop,
        max_drop_given=bool(max_drop),
        max_drop_metric=drop_metric(max_drop),
        min_speedup=parse_min_speedup(min_speedup) if min_speedup else limits.min_speedup,
        min_speedup_given=bool(min_speedup),
        max_size_bytes=parse_size_bytes(max_size) if max_size else 0,
    )


def _check_together(*, data: str, calib: str, max_drop: str) -> None:
    """Refuse options that contradict each other, before any work is done."""
    complaint = ""
    if max_drop and not data:
        complaint = "--max-drop needs labelled rows to measure a drop on: give --data."
    elif calib and not data:
        complaint = "--calib without --data: the result could not be judged. Give --data too."
    _refuse(complaint)


def _check_numbers(
    *, batch: int, threads: tuple[int, ...], seconds: float, limit: int, seed: int
) -> None:
    complaint = ""
    if batch < 0 or any(count < 1 for count in threads):
        complaint = "--batch and --threads count from 1."
    elif not 0 < seconds < math.inf:
        complaint = f"--seconds {seconds:g}: expected a number of seconds above 0."
    elif limit < 0 or not 0 <= seed < _MOST_SEEDS:
        complaint = f"--limit and --seed count from 0, --seed below {_MOST_SEEDS}."
    _refuse(complaint)


def _refuse(complaint: str) -> None:
    if complaint:
        raise UsageError(complaint, code="OQ100", hint="See onnxq run --help.")


def _default_threads() -> tuple[int, ...]:
    return tuple(sorted({1, usable_cores()}))
