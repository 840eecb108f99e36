"""``convert``: a model becomes ONNX, and it is proven that it computes the same."""

from collections.abc import Iterator

from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.conversions import execute_conversion
from onnxq.pipeline.planning import describe_conversion
from onnxq.pipeline.plans import ConvertPlan
from onnxq.verbs.asking import (
    ask_course,
    ask_model_destination,
    ask_rows,
    check_numbers,
    opened_model,
)
from onnxq.verbs.option_types import (
    FolderPath,
    InputText,
    MapText,
    PreprocessText,
    RowsText,
    WeightsPath,
)
from onnxq.verbs.verb import verb


@verb(execute_conversion, describe_conversion)
def convert(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: object,
    *,
    weights: WeightsPath = "",
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    data: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    limit: int = 0,
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[ConvertPlan]:
    """Convert a model to ONNX, and prove that the export computes the same.

    Args:
        model: As for :func:`onnxq.run`.
        weights: Weights for the model that a factory returns.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``.
        signature: Which signature of a SavedModel; default: ``serving_default``.
        trust: Let code from the model file run.
        check: Compare the export with the source.
        data: Rows to compare on, beside random ones.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        limit: Most rows used; 0 uses all.
        seed: Of random probes.
        out: The output folder, or one ``.onnx`` file.
        overwrite: Replace a folder or file that onnxq did not write.
        command: What was typed; for the document.
        tell: Who listens to events.

    Returns:
        What was done.

    Raises:
        OnnxqError: A foreseen failure; nothing was written then.
    """
    check_numbers(limit=limit, seed=seed)
    rows = ask_rows(data, preprocess=preprocess, map=map, limit=limit, seed=seed)
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
        yield ConvertPlan(
            given=given,
            out=ask_model_destination(out, overwrite=overwrite),
            course=ask_course("convert", model, command, tell),
        )
