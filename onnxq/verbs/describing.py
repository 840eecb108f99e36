"""``inspect``, ``recipes`` and ``doctor``: nothing is built, something is said."""

from msgspec.structs import replace

from onnxq.doctoring import Doctor, examine
from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.interruption import interruptible
from onnxq.isolation import Workplace, default_limits, run_stage
from onnxq.pipeline.arrivals import code_folders
from onnxq.pipeline.float_twins import find_float_twin
from onnxq.pipeline.private_copies import absolute_request, copy_source
from onnxq.pipeline.work_folders import work_folder
from onnxq.recipe_facts import RecipeFacts, describe_recipe
from onnxq.recipe_files import resolve_recipes
from onnxq.recipe_kinds import ALIASES
from onnxq.source_parsing import parse_source
from onnxq.sources import OnnxFile, source_path
from onnxq.stages import INSPECT, InspectRequest, InspectResult
from onnxq.verbs.arguments import checked
from onnxq.verbs.asking import ask_rows
from onnxq.verbs.option_types import (
    ClassesText,
    MapText,
    ModelPath,
    PreprocessText,
    RecipeText,
    RowsText,
)


@checked
def inspect(
    model: ModelPath,
    *,
    reference: ModelPath = "",
    data: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    classes: ClassesText = "",
    tell: Tell = tell_nobody,
) -> InspectResult:
    """Describe an ``.onnx`` file: signature, operators, how each tensor is quantized.

    Args:
        model: The file.
        reference: The float ``.onnx`` file that it was quantized from, to compare weights with;
            without it the fp32 model that onnxq wrote beside it, where there is one.
        data: Rows to try on its inputs; the model is not run.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        classes: A class list, or a regular expression on the file name with one group.
        tell: Who listens to events.

    Returns:
        What it is.

    Raises:
        SourceError: If it is not a whole ONNX file.
        UsageError: If it is of another kind, to be converted first.
    """
    rows = ask_rows(data, preprocess=preprocess, map=map, classes=classes)
    given, twin = _onnx_file(model), reference or find_float_twin(model)
    with interruptible(), work_folder() as folder:
        place = Workplace(folder, default_limits(), tell)

        def copied(source: OnnxFile) -> str:
            return source_path(copy_source(source, place.new_folder("source"), place))

        request = InspectRequest(
            path=copied(given),
            reference=copied(_onnx_file(twin)) if twin else "",
            data=absolute_request(rows),
            trusted_folders=code_folders(data),
        )
        result = run_stage(INSPECT, request, place)
    return replace(result, model=replace(result.model, path=given.path), reference=twin)


def _onnx_file(given: str) -> OnnxFile:
    source = parse_source(given)
    if isinstance(source, OnnxFile):
        return source
    message = f"inspect reads .onnx files; {given!r} is a source to be converted."
    raise UsageError(message, code="OQ100", hint=f"Convert it first: onnxq run {given} …")


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
