"""Ranges for static recipes: calibrated on rows, chosen from statistics, or taken from a file."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from onnxq.calibrations import CalibrationEffort
from onnxq.datasets.values import CalibrationSet, EvaluationSet, NoRows
from onnxq.errors import Interrupted, OnnxqError, RecipeError
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import Calibrating, Order
from onnxq.ranges import load_ranges, write_ranges
from onnxq.recipe_kinds import QuantizationScope, StaticQdq
from onnxq.reports import Failed, Skipped
from onnxq.stages import (
    CALIBRATE,
    COVERAGE,
    CalibrateRequest,
    CalibrateResult,
    CoverageRequest,
    LoadRowsResult,
    RangesAsked,
    StatisticsParts,
)
from onnxq.wording import count_noun


def asked_ranges(orders: Mapping[str, Order]) -> tuple[RangesAsked, ...]:
    """Return the ranges that recipes need, those that several share once."""
    asked = (
        RangesAsked(recipe=order.recipe, scope=order.scope)
        for order in orders.values()
        if isinstance(order.recipe, StaticQdq)
    )
    return tuple({one.key: one for one in asked}.values())


def calibrate(
    bench: Bench,
    model: OnnxModel,
    rows: CalibrationSet | StatisticsParts,
    asked: tuple[RangesAsked, ...],
    how: Calibrating,
    *,
    threads: int,
) -> CalibrateResult:
    """Calibrate once for all static recipes.

    Args:
        bench: Where the stage is carried out; it takes down the effort and the findings.
        model: The prepared model.
        rows: Rows to calibrate on, or statistics of them.
        asked: Which ranges.
        how: Everything else.
        threads: Worker threads.

    Returns:
        The ranges, by key. It raises what the stage raises.
    """
    request = CalibrateRequest(
        model=model,
        rows=rows,
        asked=asked,
        threads=threads,
        stride=how.stride,
        memory_bytes=how.memory_bytes,
        cache_folder=how.cache_folder,
        stop_early=how.stop_early,
        shard=how.shard,
    )
    calibrated = bench.run(CALIBRATE, request, _subject(rows))
    bench.efforts.append(calibrated.effort)
    bench.findings.extend(calibrated.findings)
    return calibrated


def calibrate_for(
    bench: Bench,
    model: OnnxModel,
    rows: LoadRowsResult,
    orders: Mapping[str, Order],
    how: Calibrating,
    *,
    threads: int,
) -> dict[str, str] | Skipped | Failed:
    """Calibrate for recipes; what fails here fails in each of their rows.

    Args:
        bench: Where the stage is carried out.
        model: The prepared model.
        rows: Rows to calibrate on, and rows to judge on, which should be like them.
        orders: The recipes.
        how: Everything else.
        threads: Worker threads.

    Returns:
        Path of the ranges by key; or the row of every recipe that needs them, without its name.
    """
    asked = asked_ranges(orders)
    if not asked or not isinstance(rows.calibration, CalibrationSet):
        reason = "no rows to calibrate on: give --calib, or more rows with --data"
        return Skipped(alias="", recipe="", reason=reason)
    try:
        found = calibrate(bench, model, rows.calibration, asked, how, threads=threads)
        _check_coverage(bench, model, rows.evaluation, asked[0], found, threads=threads)
    except (Interrupted, RecipeError):  # a scope that fits no node ends the verb, as in refused_row
        raise
    except OnnxqError as error:
        return failed_row("", "", error)
    return found.ranges


def failed_row(alias: str, recipe: str, error: OnnxqError) -> Failed:
    """Make the row of a recipe that failed."""
    return Failed(
        alias=alias, recipe=recipe, code=error.code, reason=error.message, hint=error.hint
    )


def _check_coverage(
    bench: Bench,
    model: OnnxModel,
    evaluation: EvaluationSet | NoRows,
    asked: RangesAsked,
    found: CalibrateResult,
    *,
    threads: int,
) -> None:
    """Look whether rows to judge on are like those that ranges were calibrated on."""
    if not isinstance(evaluation, EvaluationSet):
        return
    request = CoverageRequest(
        model=model,
        ranges=found.ranges[asked.key],
        scope=asked.scope,
        evaluation=evaluation,
        threads=threads,
        activation=asked.recipe.activation,
        statistics=found.statistics,
    )
    checked = bench.run(COVERAGE, request, f"{evaluation.rows.count_rows} rows")
    bench.findings.extend(checked.findings)


def given_ranges(
    bench: Bench, model: OnnxModel, file: str, orders: Mapping[str, Order]
) -> dict[str, str]:
    """Take the ranges that recipes need from a file.

    Args:
        bench: In whose work folder they are put; it takes down that they were given.
        model: The prepared model.
        file: As ``calibrate`` and ``quantize`` write it.
        orders: The recipes.

    Returns:
        Path of the ranges by key.

    Raises:
        DatasetError: If the file cannot be read.
        UsageError: OQ147 if it is of another model, or lacks some.
    """
    from onnxq.given_ranges import find_ranges  # noqa: PLC0415 - late
    from onnxq.ranges_files import read_ranges_file  # noqa: PLC0415 - late

    read = read_ranges_file(Path(file))
    folder = bench.place.new_folder("ranges")
    paths: dict[str, str] = {}
    tensors: set[str] = set()
    for asked in asked_ranges(orders):
        found = find_ranges(
            read,
            asked.key,
            model.sha256,
            origin=_typed(file),
            options=_scope_options(asked.scope),
        )
        tensors.update(found.ranges)
        paths[asked.key] = write_ranges(found, folder)
    bench.efforts.append(
        CalibrationEffort(
            origin="given", rows=read.rows, given_rows=read.rows, tensors=len(tensors)
        )
    )
    return paths


def _typed(file: str) -> str:
    """Name a file from where the user is."""
    path = Path(file)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else file


def _scope_options(scope: QuantizationScope) -> tuple[str, ...]:
    """Return what is typed to get a scope; of rules, which stand in a file, that there are some."""
    return (
        *(f"--operator {operator}" for operator in scope.operators),
        *(f"--skip-operator {operator}" for operator in scope.skip_operators),
        *(f"--keep-float {shlex.quote(glob)}" for glob in scope.keep_float),
        *([f"--io {scope.io}"] if scope.io != "float" else []),
        *(["rules"] if scope.rules else []),
    )


def collect_ranges(bench: Bench, paths: Iterable[str]) -> str:
    """Put ranges that the stage wrote into one file for people.

    Args:
        bench: Where they were calibrated, or taken from a file.
        paths: Of the ranges of each recipe.

    Returns:
        The file's text: the same for the same ranges, however they came to be.
    """
    from onnxq.ranges_files import encode_ranges_file  # noqa: PLC0415 - late

    sets = map(load_ranges, sorted(set(paths)))
    return encode_ranges_file(sets, rows=bench.efforts[-1].rows).decode()


def _subject(rows: CalibrationSet | StatisticsParts) -> str:
    if isinstance(rows, StatisticsParts):
        return count_noun(len(rows.paths), "part")
    return f"{rows.rows.count_rows} rows"
