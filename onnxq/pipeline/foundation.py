"""What every candidate stands on: the converted model, the rows, and the float reference."""

from dataclasses import dataclass

from msgspec.structs import replace

from onnxq.datasets.values import EvaluationSet, NoRows
from onnxq.errors import DatasetError, InferenceError, RecipeError, UsageError
from onnxq.findings import Finding
from onnxq.measurements import Judged, Quality, Unjudged
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.private_copies import absolute_request, copy_source, trusted_folders
from onnxq.recipes import StaticQdq
from onnxq.sources import Factory, OwnWeights, source_path
from onnxq.stages import (
    CONVERT,
    JUDGE,
    LOAD_ROWS,
    PREDICT,
    PREPARE,
    ConvertRequest,
    ConvertResult,
    JudgeRequest,
    JudgeResult,
    LoadRowsRequest,
    LoadRowsResult,
    NoDataRequest,
    PredictRequest,
    PrepareRequest,
    PrepareResult,
)
from onnxq.verdict import RATES

PREDICT_BATCH_ROWS = 32


@dataclass(frozen=True)
class Foundation:
    """The float side of a run.

    Attributes:
        converted: The model as exported, with its parity.
        rows: The rows, split.
        prepared: The fp32 candidate.
        outputs: Path of the fp32 candidate's outputs on the evaluation rows, by output name.
        quality: What they are worth.
        batch_rows: Rows of one inference.
        timing_inputs: Path of the inputs of one inference, by input name.
        findings: Of all these stages.
    """

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
    converted = _convert(plan, bench)
    batch_rows = _batch_rows(plan, converted.model)
    rows = _load_rows(plan, bench, converted)
    _check_demands(plan, rows)
    request = PrepareRequest(model=converted.model)
    prepared = bench.run(PREPARE, request, _operators(converted.model))
    outputs, judged = _judge_float(plan, bench, prepared.model, rows)
    return Foundation(
        converted=converted,
        rows=rows,
        prepared=prepared,
        outputs=outputs,
        quality=judged.quality,
        batch_rows=batch_rows,
        timing_inputs=_timing_inputs(plan, bench, prepared.model, rows, batch_rows),
        findings=(
            *converted.findings,
            *rows.findings,
            *prepared.findings,
            *judged.findings,
        ),
    )


def predict_and_judge(
    plan: RunPlan,
    bench: Bench,
    model: OnnxModel,
    rows: LoadRowsResult,
    reference: dict[str, str],
    alias: str,
    batch_rows: int = PREDICT_BATCH_ROWS,
) -> tuple[dict[str, str], JudgeResult]:
    """Run a model on the evaluation rows, if there are any, and judge its outputs.

    Args:
        plan: The run.
        bench: Where the stages are carried out.
        model: Which.
        rows: All rows.
        reference: The float model's outputs; empty to judge the model beside itself.
        alias: The candidate's.
        batch_rows: Rows a run, where the batch axis is free. What a dynamic recipe computes
            depends on it: one scale holds for all rows of a run.

    Returns:
        Path of the outputs by name, and what they are worth.
    """
    evaluation = rows.evaluation
    if isinstance(evaluation, NoRows):
        return {}, JudgeResult(quality=Unjudged(), unusable="", at_chance=False, findings=())
    fixed = model.signature.fixed_batch_rows
    predict = PredictRequest(
        model=model,
        rows=evaluation,
        batch_rows=fixed or batch_rows,
        threads=plan.work_threads,
    )
    subject = f"{alias} on {evaluation.rows.count_rows} rows"
    predicted = bench.run(PREDICT, predict, subject)
    judge = JudgeRequest(
        outputs=predicted.outputs,
        reference=reference or predicted.outputs,
        rows=evaluation,
        labelled=rows.labelled,
        seed=plan.seed,
        alias=alias,
    )
    judged = bench.run(JUDGE, judge, alias)
    findings = judged.findings if reference else (*predicted.findings, *judged.findings)
    return predicted.outputs, replace(judged, findings=findings)


def _convert(plan: RunPlan, bench: Bench) -> ConvertResult:
    copies = bench.place.folder / "source"
    copies.mkdir()
    request = ConvertRequest(
        source=copy_source(plan.source, copies),
        declared=plan.declared,
        data=absolute_request(plan.data),
        check=plan.check,
        seed=plan.seed,
        trusted_folders=trusted_folders(plan.source),
    )
    return bench.run(CONVERT, request, source_path(plan.source))


def _batch_rows(plan: RunPlan, model: OnnxModel) -> int:
    """Return the rows of one inference: the model's own where its batch is fixed."""
    fixed = model.signature.fixed_batch_rows
    if fixed and plan.batch_rows and plan.batch_rows != fixed:
        message = f"--batch {plan.batch_rows}: the model's batch is fixed at {fixed}."
        hint = "Leave --batch out, or export the model with a free batch axis."
        raise UsageError(message, code="OQ100", hint=hint)
    return fixed or plan.batch_rows or 1


def _load_rows(plan: RunPlan, bench: Bench, converted: ConvertResult) -> LoadRowsResult:
    data = absolute_request(plan.data)
    if isinstance(data, NoDataRequest):
        return LoadRowsResult(
            evaluation=NoRows(), calibration=NoRows(), labelled=False, classes=0, findings=()
        )
    request = LoadRowsRequest(
        data=data,
        calibration=absolute_request(plan.calibration),
        signature=converted.model.signature,
        declared=plan.declared,
        split=any(isinstance(recipe, StaticQdq) for recipe in plan.recipes.values()),
    )
    return bench.run(LOAD_ROWS, request, data.spec)


def _check_demands(plan: RunPlan, rows: LoadRowsResult) -> None:
    if plan.limits.max_drop_given and not rows.labelled:
        message = "--max-drop limits a drop against labels, and the rows have no labels."
        hint = "Give labelled rows (an array y, or class folders), or leave --max-drop out."
        raise UsageError(message, code="OQ100", hint=hint)
    static = [a for a, recipe in plan.recipes.items() if isinstance(recipe, StaticQdq)]
    if plan.recipes_named and static and isinstance(rows.calibration, NoRows):
        found = "there are none"
        if isinstance(rows.evaluation, EvaluationSet):
            found = f"the {rows.evaluation.rows.count_rows} of --data are needed to judge on"
        message = f"recipe {static[0]!r} needs rows to calibrate on, and {found}."
        hint = "Give rows with --data or --calib, or take a recipe without: -r int8-dynamic."
        raise RecipeError(message, code="OQ162", hint=hint)


def _judge_float(
    plan: RunPlan, bench: Bench, model: OnnxModel, rows: LoadRowsResult
) -> tuple[dict[str, str], JudgeResult]:
    outputs, judged = predict_and_judge(plan, bench, model, rows, {}, "fp32")
    if judged.unusable:
        message = f"the float model's outputs are worthless on these rows: {judged.unusable}."
        hint = "Check the model, and the preprocessing of the rows: --preprocess."
        raise InferenceError(message, code="OQ401", hint=hint)
    _check_unit(plan, judged)
    if judged.at_chance and not plan.allow_chance_accuracy:
        raise _chance_error(plan, judged)
    return outputs, judged


def _check_unit(plan: RunPlan, judged: JudgeResult) -> None:
    """Refuse a --max-drop whose unit is that of another metric."""
    asked = plan.limits.max_drop_metric
    if not asked or not isinstance(judged.quality, Judged):
        return
    metric = judged.quality.accuracy.metric
    if asked != ("rate" if metric in RATES else metric):
        message = f"--max-drop is given for a metric of kind {asked}, and these rows give {metric}."
        hint = "Write a drop of a rate as 1pp, and one of the mse as 0.3mse."
        raise UsageError(message, code="OQ100", hint=hint)


def _chance_error(plan: RunPlan, judged: JudgeResult) -> DatasetError:
    scored = "no better"
    if isinstance(judged.quality, Judged):
        accuracy = judged.quality.accuracy
        scored = f"{accuracy.value.value:.1%} {accuracy.metric}"
    message = (
        f"the float model scores {scored} on these rows, which guessing reaches as well: labels "
        "or preprocessing are not what it was trained with."
    )
    source = plan.source
    untrained = isinstance(source, Factory) and isinstance(source.weights, OwnWeights)
    first = "Give the trained weights: --weights FILE. " if untrained else ""
    hint = (
        f"{first}Check the labels and the order of the classes, and how rows were prepared in "
        "training (images: --preprocess imagenet). --allow-chance-accuracy goes on all the same."
    )
    return DatasetError(message, code="OQ131", hint=hint)


def _timing_inputs(
    plan: RunPlan, bench: Bench, model: OnnxModel, rows: LoadRowsResult, batch_rows: int
) -> dict[str, str]:
    from onnxq.datasets.timing_rows import store_timing_rows  # noqa: PLC0415 - numpy, late

    folder = bench.place.folder / "timing"
    folder.mkdir()
    return store_timing_rows(
        model.signature,
        rows.evaluation,
        plan.declared,
        batch_rows=batch_rows,
        seed=plan.seed,
        folder=folder,
    )


def _operators(model: OnnxModel) -> str:
    return f"{sum(model.operators.values())} operators, opset {model.opset}"
