"""``repair``: somebody else's quantized model is made to run on integer kernels."""

from collections.abc import Iterator

from onnxq.events import Tell, tell_nobody
from onnxq.pipeline.planning import describe_repair
from onnxq.pipeline.plans import RepairPlan
from onnxq.pipeline.repairs import execute_repair
from onnxq.verbs.asking import (
    ask_course,
    ask_model_destination,
    ask_rows,
    ask_timing,
    check_numbers,
    opened_model,
    refuse,
)
from onnxq.verbs.asking_tuning import ask_tuning
from onnxq.verbs.option_types import (
    FolderPath,
    InputText,
    MapText,
    ModelPath,
    PreprocessText,
    RewriteText,
    RowsText,
    TargetText,
)
from onnxq.verbs.verb import verb

_SECONDS = 20.0


@verb(execute_repair, describe_repair)
def repair(  # noqa: PLR0913 - one keyword an option, as on the command line
    model: ModelPath,
    *,
    input: tuple[InputText, ...] = (),  # noqa: A002 - the flag's name
    calib: RowsText = "",
    preprocess: PreprocessText = "",
    map: tuple[MapText, ...] = (),  # noqa: A002 - the flag's name
    limit: int = 0,
    target: TargetText = "auto",
    rewrite: tuple[RewriteText, ...] = (),
    skip_rewrite: tuple[RewriteText, ...] = (),
    measure: bool = True,
    threads: tuple[int, ...] = (),
    batch: int = 0,
    seconds: float = _SECONDS,
    seed: int = 0,
    out: FolderPath = "onnxq-out",
    overwrite: bool = False,
    command: tuple[str, ...] = (),
    tell: Tell = tell_nobody,
) -> Iterator[RepairPlan]:
    """Make a quantized model of another tool run on onnxruntime's integer kernels.

    Every step is proven by running: the report says whether outputs stayed bit-identical.

    Args:
        model: An ``.onnx`` file with quantized activations, as QuantizeLinear pairs or as integer
            operators.
        input: Declared inputs, ``NAME:SHAPE[:dtype[:lo..hi]]``; what random rows are made of.
        calib: Rows to prove the steps on, and to take ranges from that the file lacks; random
            rows without.
        preprocess: How images become rows: a preset or a spec.
        map: ``INPUT=ARRAY`` pairs, where the names differ.
        limit: Most rows used; 0 uses all.
        target: The kind of CPU that will serve the model: ``x86-amx``, ``x86-vnni``, ``x86``,
            ``arm64``, or ``auto`` for this machine's.
        rewrite: Optional rewrites of the graph that are taken; see :func:`onnxq.rewrites`.
        skip_rewrite: Rewrites that are left out.
        measure: Measure the latency of the given and of the repaired model.
        threads: Thread counts; default: 1 and all cores.
        batch: Rows of one inference; 0 leaves it to the model.
        seconds: Wall time for measuring.
        seed: Of random rows.
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
    _check_timing(measure=measure, timed=bool(threads or batch or seconds != _SECONDS))
    timing = ask_timing(threads=threads, batch=batch, seconds=seconds, seed=seed)
    rows = ask_rows(calib, preprocess=preprocess, map=map, limit=limit, seed=seed)
    tuning = ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell)
    with opened_model(model, data=rows, input=input, seed=seed) as given:
        yield RepairPlan(
            given=given,
            calibration=rows,
            tuning=tuning,
            measures=measure,
            timing=timing,
            out=ask_model_destination(out, overwrite=overwrite),
            course=ask_course("repair", model, command, tell),
        )


def _check_timing(*, measure: bool, timed: bool) -> None:
    """Refuse to be told how to measure what is not to be measured."""
    if timed and not measure:
        refuse(
            "--no-measure contradicts --threads, --batch and --seconds, which say how to measure.",
            "Leave out one or the other.",
        )
