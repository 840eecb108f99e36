"""Ranges for static recipes: calibrated on rows, chosen from statistics, or taken from a file."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from onnxq.datasets.values import CalibrationSet, NoRows
from onnxq.errors import Interrupted, OnnxqError
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import Calibrating, Order
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import StaticQdq, ranges_key
from onnxq.reports import Failed, Skipped
from onnxq.stages import (
    CALIBRATE,
    CalibrateRequest,
    CalibrateResult,
    RangesAsked,
    StatisticsParts,
)
from onnxq.wording import count_noun


def asked_ranges(orders: Mapping[str, Order]) -> tuple[RangesAsked, ...]:
    """Return the ranges that recipes need, those that several share once."""
    asked = {
        ranges_key(order.recipe, order.scope): RangesAsked(recipe=order.recipe, scope=order.scope)
        for order in orders.values()
        if isinstance(order.recipe, StaticQdq)
    }
    return tuple(asked.values())


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
    rows: CalibrationSet | NoRows,
    orders: Mapping[str, Order],
    how: Calibrating,
    *,
    threads: int,
) -> dict[str, str] | Skipped | Failed:
    """Calibrate for recipes; what fails here fails in each of their rows.

    Args:
        bench: Where the stage is carried out.
        model: The prepared model.
        rows: Rows to calibrate on.
        orders: The recipes.
        how: Everything else.
        threads: Worker threads.

    Returns:
        Path of the ranges by key; or the row of every recipe that needs them, without its name.
    """
    asked = asked_ranges(orders)
    if not asked or not isinstance(rows, CalibrationSet):
        reason = "no rows to calibrate on: give --calib, or more rows with --data"
        return Skipped(alias="", recipe="", reason=reason)
    try:
        return calibrate(bench, model, rows, asked, how, threads=threads).ranges
    except Interrupted:
        raise
    except OnnxqError as error:
        return Failed(alias="", recipe="", code=error.code, reason=error.message, hint=error.hint)


def given_ranges(
    bench: Bench, model: OnnxModel, file: str, orders: Mapping[str, Order]
) -> dict[str, str]:
    """Take the ranges that recipes need from a file.

    Args:
        bench: In whose work folder they are put.
        model: The prepared model.
        file: As ``calibrate`` and ``quantize`` write it.
        orders: The recipes.

    Returns:
        Path of the ranges by key.

    Raises:
        DatasetError: If the file cannot be read, is of another model, or lacks some.
    """
    from onnxq.ranges_files import find_ranges, read_ranges_file  # noqa: PLC0415 - late

    read = read_ranges_file(Path(file))
    folder = bench.place.new_folder("ranges")
    paths: dict[str, str] = {}
    for asked in asked_ranges(orders):
        key = ranges_key(asked.recipe, asked.scope)
        path = folder / f"ranges-{key}.json"
        path.write_bytes(msgspec.json.encode(find_ranges(read, key, model.sha256)))
        paths[key] = str(path)
    return paths


def collect_ranges(paths: Iterable[str]) -> bytes:
    """Put ranges that the stage wrote into one file for people.

    Args:
        paths: Of the ranges of each recipe.

    Returns:
        The file: the same for the same ranges, however they came to be.
    """
    from onnxq.ranges_files import encode_ranges_file  # noqa: PLC0415 - late

    return encode_ranges_file(
        tuple(
            msgspec.json.decode(Path(path).read_bytes(), type=TensorRanges)
            for path in sorted(set(paths))
        )
    )


def _subject(rows: CalibrationSet | StatisticsParts) -> str:
    if isinstance(rows, StatisticsParts):
        return count_noun(len(rows.paths), "part")
    return f"{rows.rows.count_rows} rows"
