"""Options become values, and what contradicts itself is refused before any work is done."""

import difflib
import math
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import msgspec

from onnxq.cache_folders import default_cache_folder
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.errors import UsageError
from onnxq.events import Tell
from onnxq.isolation import default_limits
from onnxq.metric_choices import parse_metric
from onnxq.options import (
    check_histogram_sample,
    parse_calib_rows,
    parse_map,
    parse_max_memory,
    parse_shard,
)
from onnxq.pipeline.plans import Calibrating, Course, Destination, Given, Judging, Order, Timing
from onnxq.pipeline.private_copies import named_files
from onnxq.pipeline.work_folders import work_folder
from onnxq.profiling.environment import usable_cores
from onnxq.recipe_facts import check_fits
from onnxq.recipe_files import check_names, resolve_recipes
from onnxq.recipe_kinds import Float32, QuantizationScope
from onnxq.scopes import IntegerInterface
from onnxq.source_parsing import parse_inputs, parse_source
from onnxq.sources import Source
from onnxq.stages import NoDataRequest

MOST_SEEDS = 2**32

_MODEL_SUFFIX, _NEAR_SUFFIX = ".onnx", 0.75
_FILE_SUFFIXES = frozenset({
    *(".bin", ".csv", ".data", ".gz", ".h5", ".hdf5", ".html", ".json", ".keras", ".log", ".md"),
    *(".mlmodel", ".npy", ".npz", ".ort", ".pb", ".pt", ".pt2", ".pth", ".py", ".safetensors"),
    *(".tar", ".tflite", ".toml", ".txt", ".yaml", ".yml", ".zip"),
})  # fmt: skip
"""What files end in that no model is written as; ``out.v2`` is a folder like any other."""


def ask_rows(
    spec: str,
    *,
    preprocess: str = "",
    map: Sequence[str] = (),  # noqa: A002 - the flag's name
    classes: str = "",
    limit: int = 0,
    seed: int = 0,
) -> DataRequest | NoDataRequest:
    """Ask for rows; an empty spec asks for none."""
    prepared = parse_preprocess(preprocess) if preprocess else AsGiven()
    mapping = parse_map(tuple(map))
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


@contextmanager
def opened_model(  # noqa: PLR0913 - one keyword an option
    model: object,
    *,
    data: DataRequest | NoDataRequest,
    weights: str = "",
    input: Sequence[str] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    seed: int = 0,
) -> Iterator[Given]:
    """Open what the user named as a model; a live one is exported in this process.

    Args:
        model: A path, a factory, or a live ``nn.Module`` or Keras model.
        data: Rows to prove the export on.
        weights: A state dict for the module that a factory returns.
        input: Declared inputs.
        signature: Of a SavedModel.
        trust: Whether code from the model file may run.
        check: Whether the export is compared with the source.
        seed: Of random probes.

    Yields:
        The model. What a live one was exported to is gone afterwards.
    """
    declared = parse_inputs(input)

    def given(source: Source) -> Given:
        return Given(
            source=source, declared=declared, data=data, check=check, seed=seed, trust=trust
        )

    if isinstance(model, str | os.PathLike):
        text = os.fspath(model)
        yield given(parse_source(text, weights=weights, trust=trust, signature=signature))
        return
    if weights or signature:
        message = "--weights and --signature go with files; a live model has its own."
        raise UsageError(message, code="OQ100", hint="Leave them out.")
    from onnxq.conversion.live import export_live  # noqa: PLC0415 - a live model has its framework

    with work_folder() as folder:
        yield given(export_live(model, declared=declared, data=data, seed=seed, folder=folder))


def ask_orders(
    recipe: Sequence[str],
    *,
    operator: Sequence[str] = (),
    skip_operator: Sequence[str] = (),
    keep_float: Sequence[str] = (),
    io: str = "float",
    strict: bool = False,
) -> dict[str, Order]:
    """Look up recipes, by alias, name or file, and what they are let at.

    Args:
        recipe: Such as ``int8``, a derived name, or ``mine.toml``.
        operator: Operator types that alone are quantized.
        skip_operator: Operator types that stay float.
        keep_float: GLOBs on the names of nodes that stay float.
        io: dtype of float inputs and outputs after quantizing.
        strict: Whether a node that stays float is an error.

    Returns:
        By alias, in the order asked for; what a file says of its recipes' scope comes first.

    Raises:
        RecipeError: OQ100 if two different recipes have one name, or a recipe and its scope
            contradict each other; OQ161 if there is no such recipe.
        UsageError: OQ100 if ``io`` is none of the choices.
    """
    interfaces: tuple[IntegerInterface, ...] = get_args(IntegerInterface)
    wanted = next((one for one in interfaces if one == io), None)
    if wanted is None:
        message = f"--io {io!r}: expected one of {', '.join(interfaces)}."
        raise UsageError(message, code="OQ100", hint="--io uint8 makes inputs and outputs uint8.")

    def widen(scope: QuantizationScope) -> QuantizationScope:
        return msgspec.structs.replace(
            scope,
            operators=(*scope.operators, *operator),
            skip_operators=(*scope.skip_operators, *skip_operator),
            keep_float=(*scope.keep_float, *keep_float),
            io=scope.io if wanted == "float" else wanted,
            strict=scope.strict or strict,
        )

    named = [one for text in recipe for one in resolve_recipes(text)]
    check_names(named)
    orders = {
        one.name: Order(
            recipe=one.recipe,
            scope=one.scope if isinstance(one.recipe, Float32) else widen(one.scope),
        )
        for one in named
    }
    for order in orders.values():
        check_fits(order.recipe, order.scope)
    return orders


def lower_limit(*limits: int) -> int:
    """Return the lowest of limits, of which 0 is none."""
    return min((limit for limit in limits if limit), default=0)


def ask_calibrating(
    *,
    calib_rows: str = "",
    histogram_sample: int = 1,
    max_memory: str = "",
    shard: str = "",
    cache_dir: str = "",
    cache: bool = True,
) -> Calibrating:
    """Ask how ranges are calibrated.

    Args:
        calib_rows: Most rows, or ``auto`` to stop once more would hardly change the ranges.
        histogram_sample: Count every so-many-th value.
        max_memory: Most memory beyond what the process takes anyway, such as ``2GB``.
        shard: Which part of the rows, such as ``2/4``.
        cache_dir: Where statistics are kept; default: ``ONNXQ_CACHE_DIR``, or the user's folder
            for such things.
        cache: Whether to keep them, and to look for kept ones.

    Raises:
        UsageError: OQ100 if one of them means nothing, or two contradict each other.
    """
    rows, part = parse_calib_rows(calib_rows), parse_shard(shard)
    check_histogram_sample(histogram_sample)
    if rows.stop_early and part.total > 1:
        refuse(
            "--calib-rows auto looks at all rows in turn, and --shard at some of them alone.",
            hint="Leave --shard out, or say how many rows the shards share: --calib-rows 512.",
        )
    return Calibrating(
        rows=rows.most,
        stop_early=rows.stop_early,
        stride=histogram_sample,
        memory_bytes=parse_max_memory(max_memory),
        cache_folder=str(Path(cache_dir or default_cache_folder()).absolute()) if cache else "",
        shard=part,
    )


def ask_judging(*, metric: str, judge_output: str, seed: int) -> Judging:
    """Ask how outputs are judged."""
    return Judging(
        metric=parse_metric(metric), output=judge_output, seed=seed, threads=usable_cores()
    )


def ask_timing(*, threads: Sequence[int], batch: int, seconds: float, seed: int) -> Timing:
    """Ask how latency is measured; without thread counts at 1 and at all cores."""
    check_numbers(batch=batch, threads=threads, seconds=seconds)
    counts = tuple(dict.fromkeys(threads)) or tuple(sorted({1, usable_cores()}))
    return Timing(threads=counts, batch_rows=batch, seconds=seconds, seed=seed)


def ask_course(verb: str, model: object, command: Sequence[str], tell: Tell) -> Course:
    """Ask how the plan is carried out."""
    named = os.fspath(model) if isinstance(model, str | os.PathLike) else type(model).__name__
    return Course(
        command=tuple(command) or ("onnxq", verb, shlex.quote(named)),
        child_limits=default_limits(),
        work_threads=usable_cores(),
        tell=tell,
    )


def ask_destination(out: str, *, overwrite: bool, named: Iterable[str] = ()) -> Destination:
    """Ask where files go.

    Args:
        out: The output folder or file.
        overwrite: Whether what onnxq did not write may be replaced.
        named: Texts that may name files of the user's, such as recipes and metrics.
    """
    kept = tuple(path for text in named for path in named_files(text) if path.is_file())
    return Destination(path=Path(out).absolute(), overwrite=overwrite, kept=kept)


def ask_model_destination(out: str, *, overwrite: bool, named: Iterable[str] = ()) -> Destination:
    """Ask where models go that may be written as one file.

    Args:
        out: The output folder, or one ``.onnx`` file.
        overwrite: Whether what onnxq did not write may be replaced.
        named: As :func:`ask_destination` takes them.

    Raises:
        UsageError: OQ100 if it is called like a file of another kind, and is no folder.
    """
    path = Path(out)
    suffix = path.suffix.lower()
    near = difflib.get_close_matches(suffix, [_MODEL_SUFFIX], 1, _NEAR_SUFFIX)
    other = path.suffix != _MODEL_SUFFIX and (bool(near) or suffix in _FILE_SUFFIXES)
    if other and not path.is_dir():
        model = shlex.quote(str(path.with_suffix(_MODEL_SUFFIX)))
        folder = shlex.quote(str(path.with_suffix("")))
        refuse(
            f"--out {out}: a model is written as one {_MODEL_SUFFIX} file, or into a folder, and "
            f"{path.suffix} is neither.",
            hint=f"One file:  -o {model}\nA folder:  -o {folder}",
        )
    return ask_destination(out, overwrite=overwrite, named=named)


def check_numbers(
    *,
    batch: int = 0,
    threads: Sequence[int] = (),
    seconds: float = 1.0,
    limit: int = 0,
    seed: int = 0,
) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: OQ100.
    """
    complaint = ""
    if batch < 0 or any(count < 1 for count in threads):
        complaint = "--batch and --threads count from 1."
    elif not 0 < seconds < math.inf:
        complaint = f"--seconds {seconds:g}: expected a number of seconds above 0."
    elif limit < 0 or not 0 <= seed < MOST_SEEDS:
        complaint = f"--limit and --seed count from 0, --seed below {MOST_SEEDS}."
    refuse(complaint)


def refuse(complaint: str, hint: str = "See onnxq run --help.") -> None:
    """Raise a usage error, if there is a complaint."""
    if complaint:
        raise UsageError(complaint, code="OQ100", hint=hint)
