"""What every candidate stands on: the converted model, the rows, and the float reference."""

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from onnxq.datasets.values import EvaluationSet, NoRows
from onnxq.errors import DatasetError, InferenceError, RecipeError, UsageError
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Judged, Quality, Unjudged
from onnxq.metric_choices import metric_name
from onnxq.models import OnnxModel
from onnxq.pipeline.arrivals import (
    code_folders,
    convert_source,
    inference_rows,
    load_rows,
    store_inference,
)
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.loading_advice import advising_repair
from onnxq.pipeline.plans import Judging, RunPlan
from onnxq.recipe_kinds import needs_rows
from onnxq.sources import Factory, OwnWeights, source_path
from onnxq.stages import (
    INSPECT,
    JUDGE,
    PREDICT,
    PREPARE,
    ConvertResult,
    InspectRequest,
    JudgeRequest,
    JudgeResult,
    LoadRowsResult,
    PredictRequest,
    PrepareRequest,
    PrepareResult,
)
from onnxq.tunings import Tuning
from onnxq.verdict import fit_limits

PREDICT_BATCH_ROWS = 32


@dataclass(frozen=True)
class Foundation:
    """The float side of a run; of a model that is quantized already, that model.

    Attributes:
        alias: ``fp32``, or ``given`` for a model that is quantized already.
        converted: The model as exported, with its parity.
        rows: The rows, split.
        prepared: The model that candidates are made of and compared with.
        outputs: Path of its outputs on the evaluation rows, by output name.
        quality: What they are worth.
        batch_rows: Rows of one inference.
        timing_inputs: Path of the inputs of one inference, by input name.
        findings: Of all these stages.
    """

    alias: str
    converted: ConvertResult
    rows: LoadRowsResult
    prepared: PrepareResult
    outputs: dict[str, str]
    quality: Quality
    batch_rows: int
    timing_inputs: dict[str, str]
    findings: tuple[Finding, ...]


def lay_foundation(plan: RunPlan, bench: Bench) -> Foundation:
    """Convert, load, prepare and judge the float model.

    Args:
        plan: The run.
        bench: Where its stages are carried out.

    Returns:
        The float side of the run.

    Raises:
        OnnxqError: What a stage raised; also if the float model only guesses, or a static
            recipe that the user named has no rows to calibrate on.
    """
    converted = convert_source(plan.given, bench)
    inference_rows(converted.model, plan.timing.batch_rows)  # refuses before rows are read
    rows = load_rows(
        bench,
        converted.model,
        plan.data,
        plan.calibration,
        plan.given.declared,
        split=_wants_ranges(plan) and not converted.quantized_already,
        calibration_rows=plan.calibrating.rows,
    )
    _check_demands(plan, converted, rows)
    prepared = prepare(bench, converted, plan.tuning)
    alias = "given" if converted.quantized_already else "fp32"
    batch_rows = inference_rows(converted.model, plan.timing.batch_rows, rows.evaluation)
    with advising_repair(source_path(plan.given.source), converted.quantized_already):
        outputs, judged = _judge_float(plan, bench, prepared.model, rows, alias)
    return Foundation(
        alias=alias,
        converted=converted,
        rows=rows,
        prepared=prepared,
        outputs=outputs,
        quality=judged.quality,
        batch_rows=batch_rows,
        timing_inputs=store_inference(
            bench,
            prepared.model,
            rows.evaluation,
            plan.given.declared,
            batch_rows=batch_rows,
            seed=plan.timing.seed,
        ),
        findings=(
            *converted.findings,
            *rows.findings,
            *prepared.findings,
            *judged.findings,
        ),
    )


def prepare(bench: Bench, converted: ConvertResult, tuning: Tuning) -> PrepareResult:
    """Make a model fit for the quantizers; one that is quantized already is left as it is.

    Args:
        bench: Where the stage is carried out.
        converted: The model.
        tuning: For which CPU, with which rewrites.

    Returns:
        The prepared model, and what it weighs.
    """
    model = converted.model
    operators = f"{sum(model.operators.values())} operators, opset {model.opset}"
    if converted.quantized_already:
        inspected = bench.run(INSPECT, InspectRequest(path=model.path), operators)
        return PrepareResult(model=model, size=inspected.size, findings=())
    return bench.run(PREPARE, PrepareRequest(model=model, tuning=tuning), operators)


@dataclass(frozen=True)
class Subject:
    """A model that is run on the rows and judged.

    Attributes:
        name: What people call it.
        model: Which.
        io: Its integer inputs and outputs.
        provider: Who runs it.
        compared_with: What people call the reference.
    """

    name: str
    model: OnnxModel
    io: tuple[IntegerTensor, ...] = ()
    provider: str = "cpu"
    compared_with: str = "the float model"


def predict_and_judge(
    bench: Bench,
    judging: Judging,
    subject: Subject,
    rows: LoadRowsResult,
    reference: dict[str, str],
    batch_rows: int = PREDICT_BATCH_ROWS,
) -> tuple[dict[str, str], JudgeResult]:
    """Run a model on the evaluation rows, if there are any, and judge its outputs.

    Args:
        bench: Where the stages are carried out.
        judging: How outputs are judged.
        subject: Which model.
        rows: All rows.
        reference: The float model's outputs; empty to judge the model beside itself.
        batch_rows: Rows a run, where the batch axis is free. What a dynamic recipe computes
            depends on it: one scale holds for all rows of a run.

    Returns:
        Path of the outputs by name, and what they are worth.
    """
    evaluation = rows.evaluation
    if isinstance(evaluation, NoRows):
        return {}, JudgeResult(quality=Unjudged(), unusable="", at_chance=False, findings=())
    predict = PredictRequest(
        model=subject.model,
        rows=evaluation,
        batch_rows=subject.model.signature.fixed_batch_rows or batch_rows,
        threads=judging.threads,
        provider=subject.provider,
        io=subject.io,
    )
    predicted = bench.run(PREDICT, predict, f"{subject.name} on {evaluation.rows.count_rows} rows")
    outputs = _aligned(predicted.outputs, reference)
    judge = JudgeRequest(
        outputs=outputs,
        reference=reference or outputs,
        rows=evaluation,
        labelled=rows.labelled,
        seed=judging.seed,
        alias=subject.name,
        compared_with=subject.compared_with,
        metric=judging.metric,
        output=judging.output,
        trusted_folders=code_folders(metric_name(judging.metric)),
        working_folder=str(Path.cwd()),
    )
    judged = bench.run(JUDGE, judge, subject.name)
    findings = judged.findings if reference else (*predicted.findings, *judged.findings)
    return outputs, replace(judged, findings=findings)


def _aligned(outputs: dict[str, str], reference: dict[str, str]) -> dict[str, str]:
    """Give outputs the reference's names, where another exporter named as many differently.

    Names that both have stay; the others go together in the models' own order.
    """
    if len(outputs) != len(reference):
        return outputs
    others = iter([path for name, path in outputs.items() if name not in reference])
    return {name: outputs[name] if name in outputs else next(others) for name in reference}


def _wants_ranges(plan: RunPlan) -> bool:
    return any(needs_rows(order.recipe) for order in plan.orders.values())


def _check_demands(plan: RunPlan, converted: ConvertResult, rows: LoadRowsResult) -> None:
    if plan.limits.max_drop_given and not rows.labelled:
        message = "--max-drop limits a drop against labels, and the rows have no labels."
        hint = "Give labelled rows (an array y, or class folders), or leave --max-drop out."
        raise UsageError(message, code="OQ100", hint=hint)
    if converted.quantized_already or not isinstance(rows.calibration, NoRows):
        return
    static = [alias for alias, order in plan.orders.items() if needs_rows(order.recipe)]
    if plan.recipes_named and static:
        found = "there are none"
        if isinstance(rows.evaluation, EvaluationSet):
            found = f"the {rows.evaluation.rows.count_rows} of --data are needed to judge on"
        message = f"recipe {static[0]!r} needs rows to calibrate on, and {found}."
        hint = "Give rows with --data or --calib, or take a recipe without: -r int8-dynamic."
        raise RecipeError(message, code="OQ162", hint=hint)


def _judge_float(
    plan: RunPlan, bench: Bench, model: OnnxModel, rows: LoadRowsResult, alias: str
) -> tuple[dict[str, str], JudgeResult]:
    outputs, judged = predict_and_judge(bench, plan.judging, Subject(alias, model), rows, {})
    if judged.unusable:
        message = f"the model's outputs are worthless on these rows: {judged.unusable}."
        hint = "Check the model, and the preprocessing of the rows: --preprocess."
        raise InferenceError(message, code="OQ401", hint=hint)
    _check_unit(plan, judged)
    if judged.at_chance and not plan.allow_chance_accuracy:
        raise _chance_error(plan, judged)
    return outputs, judged


def _check_unit(plan: RunPlan, judged: JudgeResult) -> None:
    """Refuse a --max-drop whose unit is that of another metric."""
    if isinstance(judged.quality, Judged):
        fit_limits(plan.limits, judged.quality.accuracy)


def _chance_error(plan: RunPlan, judged: JudgeResult) -> DatasetError:
    scored = "no better"
    if isinstance(judged.quality, Judged):
        accuracy = judged.quality.accuracy
        scored = f"{accuracy.metric} {accuracy.value.value:.4g}"
        if accuracy.scale != "own":
            scored = f"{accuracy.value.value:.1%} {accuracy.metric}"
    message = (
        f"the float model scores {scored} on these rows, which guessing reaches as well: labels "
        "or preprocessing are not what it was trained with."
    )
    source = plan.given.source
    untrained = isinstance(source, Factory) and isinstance(source.weights, OwnWeights)
    first = "Give the trained weights: --weights FILE. " if untrained else ""
    hint = (
        f"{first}Check the labels and the order of the classes, and how rows were prepared in "
        "training (images: --preprocess imagenet). --allow-chance-accuracy goes on all the same."
    )
    return DatasetError(message, code="OQ131", hint=hint)
