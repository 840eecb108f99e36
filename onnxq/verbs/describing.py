"""``inspect``, ``recipes``, ``rewrites`` and ``doctor``: nothing is built, something is said."""

import shlex
from pathlib import Path

from msgspec.structs import replace

from onnxq.audits import NotAudited
from onnxq.datasets.values import DataRequest
from onnxq.doctoring import Doctor, examine
from onnxq.errors import InferenceError, SourceError, StageError, UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.interruption import interruptible
from onnxq.isolation import Workplace, default_limits, run_stage
from onnxq.pipeline.arrivals import code_folders
from onnxq.pipeline.audits import OWN_PRODUCER, advise_audit, audit_model
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.float_twins import find_float_twin
from onnxq.pipeline.loading_advice import advising_repair
from onnxq.pipeline.private_copies import absolute_request, copy_source
from onnxq.pipeline.rewrite_listing import known_rewrites
from onnxq.pipeline.work_folders import work_folder
from onnxq.recipe_facts import RecipeFacts, describe_recipe
from onnxq.recipe_files import resolve_recipes
from onnxq.recipe_kinds import ALIASES
from onnxq.rewrite_facts import RewriteFacts
from onnxq.source_parsing import parse_inputs, parse_source
from onnxq.sources import InputDeclaration, OnnxFile, source_path
from onnxq.stages import INSPECT, InspectRequest, InspectResult, NoDataRequest
from onnxq.verbs.arguments import checked
from onnxq.verbs.asking import ask_rows
from onnxq.verbs.option_types import (
    ClassesText,
    InputText,
    MapText,
    ModelPath,
    PreprocessText,
    RecipeText,
    RowsText,
)

_LABELS = "labels"
"""What an answer about labels is about: a model runs without them."""

_NOT_RUN = "the rows do not fit, so it was not run"


@checked
def inspect(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: ModelPath,
    *,
    reference: ModelPath = "",
    data: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    classes: ClassesText = "",
    runtime: bool = False,
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    tell: Tell = tell_nobody,
) -> InspectResult:
    """Describe an ``.onnx`` file: signature, operators, how each tensor is quantized.

    Args:
        model: The file.
        reference: The float ``.onnx`` file that it was quantized from, to compare weights with;
            without it the fp32 model that onnxq wrote beside it, where there is one.
        data: Rows to try on its inputs; the model is not run on them unless ``runtime`` is true.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        runtime: Whether to run it, one inference some times over, and look at the graph that
            onnxruntime makes of it; on random values where there are no rows.
        input: Declarations such as ``tokens:1x32:int64:0..999``, for values that random ones
            must keep to.
        tell: Who listens to events.

    Returns:
        What it is.

    Raises:
        SourceError: If it is not a whole ONNX file. Where ``runtime`` is true and it cannot be
            run, that is no error: ``audit`` is a ``NotAudited`` with the reason.
        UsageError: If it is of another kind, to be converted first.
    """
    rows = ask_rows(data, preprocess=preprocess, map=map, classes=classes)
    declared = parse_inputs(input)
    given, twin = _onnx_file(model), reference or find_float_twin(model)
    with interruptible(), work_folder() as folder:
        place = Workplace(folder, default_limits(), tell)

        def copied(source: OnnxFile) -> str:
            return source_path(copy_source(source, place.new_folder("source"), place))

        request = InspectRequest(
            path=copied(given),
            reference=copied(_onnx_file(twin)) if twin else "",
            data=absolute_request(rows),
            declared=declared,
            trusted_folders=code_folders(data),
        )
        result = run_stage(INSPECT, request, place)
        if runtime:
            result = _with_audit(result, Bench(place, tell), rows, declared, title=given.path)
    return replace(result, model=replace(result.model, path=given.path), reference=twin)


def _with_audit(
    found: InspectResult,
    bench: Bench,
    rows: DataRequest | NoDataRequest,
    declared: tuple[InputDeclaration, ...],
    *,
    title: str,
) -> InspectResult:
    if not all(answer.fits for answer in found.data_fit if answer.subject != _LABELS):
        return replace(found, audit=NotAudited(reason=_NOT_RUN))
    try:
        with advising_repair(title, found.quantized_already):
            ran = audit_model(bench, found.model, found.io, rows, declared, title=title)
    except (InferenceError, SourceError, StageError) as error:
        return replace(found, audit=NotAudited(reason=error.message, fix=error.hint))
    file = "" if found.producer == OWN_PRODUCER else title
    return replace(found, audit=advise_audit(ran.audit, file=file), kernels=ran.nodes)


def _onnx_file(given: str) -> OnnxFile:
    source = parse_source(given)
    if isinstance(source, OnnxFile):
        return source
    message = f"inspect reads .onnx files; {given!r} is a source to be converted."
    raise UsageError(message, code="OQ100", hint=f"Convert it first:  {_converting(given)}")


def _converting(given: str) -> str:
    return f"onnxq convert {shlex.quote(given)} -o {shlex.quote(f'{Path(given).stem}.onnx')}"


@checked
def doctor(file: ModelPath = "", *, tell: Tell = tell_nobody) -> Doctor:
    """Describe this machine, its packages, and what a file would need.

    Args:
        file: A model file; empty to describe the machine alone.
        tell: Who listens to events.

    Returns:
        What was found.
    """
    return examine(file, tell)


@checked
def recipes(name: RecipeText = "") -> tuple[RecipeFacts, ...]:
    """Describe recipes.

    Args:
        name: An alias, a derived name, or a recipe file; empty for all aliases.

    Returns:
        One entry a recipe.

    Raises:
        RecipeError: If there is none of this name.
    """
    named = resolve_recipes(name) if name else [o for a in ALIASES for o in resolve_recipes(a)]
    return tuple(describe_recipe(one.recipe) for one in named)


@checked
def rewrites(*, tell: Tell = tell_nobody) -> tuple[RewriteFacts, ...]:
    """Describe the graph rewrites.

    Args:
        tell: Who listens to events.

    Returns:
        One entry a rewrite, in the order in which they are taken.
    """
    with interruptible():
        return known_rewrites(tell)
