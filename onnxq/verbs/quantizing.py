"""``quantize``: models are built by recipes; nothing is measured."""

from collections.abc import Iterator

from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.planning import describe_quantization
from onnxq.pipeline.plans import Destination, Order, QuantizePlan
from onnxq.pipeline.quantizations import execute_quantization
from onnxq.verbs.asking import (
    ask_course,
    ask_destination,
    ask_orders,
    ask_rows,
    check_numbers,
    opened_model,
)
from onnxq.verbs.verb import verb


@verb(execute_quantization, describe_quantization)
def quantize(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: object,
    *,
    weights: str = "",
    input: tuple[str, ...] = (),  # noqa: A002 - the flag's name
    signature: str = "",
    trust: bool = False,
    check: bool = True,
    calib: str = "",
    preprocess: str = "",
    map: tuple[str, ...] = (),  # noqa: A002 - the flag's name
    classes: str = "",
    limit: int = 0,
    recipe: tuple[str, ...] = (),
    operator: tuple[str, ...] = (),
    skip_operator: tuple[str, ...] = (),
    keep_float: tuple[str, ...] = (),
    io: str = "float",
    strict: bool = False,
    seed: int = 0,
    out: str = "onnxq-out",
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
        recipe: Recipes by alias, name or file; default: int8 with ``calib``, else int8-dynamic.
        operator: Quantize operators of these types only.
        skip_operator: Leave operators of these types float.
        keep_float: Leave nodes float whose names match one of these GLOBs.
        io: ``uint8`` or ``int8`` makes float inputs and outputs integers.
        strict: A node that was asked for and stays float is an error.
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
    rows = ask_rows(calib, preprocess=preprocess, map=map, classes=classes, limit=limit, seed=seed)
    orders = ask_orders(
        recipe or (("int8",) if calib else ("int8-dynamic",)),
        operator=operator,
        skip_operator=skip_operator,
        keep_float=keep_float,
        io=io,
        strict=strict,
    )
    destination = ask_destination(out, overwrite=overwrite, named=recipe)
    _check_one(destination, orders)
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
            orders=orders,
            out=destination,
            course=ask_course("quantize", model, command, tell),
        )


def _check_one(out: Destination, orders: dict[str, Order]) -> None:
    if out.is_file and len(orders) > 1:
        message = f"--out {out.path.name} is one file, and there are {len(orders)} recipes."
        raise UsageError(message, code="OQ100", hint="Name a folder: -o onnxq-out")
