"""A plan is executed: stages in order, children alone touch models, output whole or not at all."""

import shutil
from collections.abc import Sequence

from onnxq.errors import Interrupted
from onnxq.isolation.commit import (
    RECIPES_FILE,
    REPORT_FILE,
    SNIPPET_FILE,
    check_output,
    staged_output,
)
from onnxq.pipeline.bench import open_bench
from onnxq.pipeline.candidates import Candidate, Outcome, Site, build_candidates
from onnxq.pipeline.foundation import lay_foundation
from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.reporting import artefact_file, make_report
from onnxq.pipeline.timings import Timings, measure_candidates
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.recipe_files import render_recipes
from onnxq.recipes import NamedRecipe
from onnxq.reports import Report, report_to_json
from onnxq.snippets import serving_snippet


def execute_plan(plan: RunPlan) -> Report:
    """Do everything that a plan says.

    Args:
        plan: The run.

    Returns:
        The report; it and the models lie in the output folder.

    Raises:
        OnnxqError: What a stage raised; nothing was written then.
        Interrupted: With a partial report, if a candidate was judged before.
    """
    check_output(
        plan.out.path,
        overwrite=plan.out.overwrite,
        kept=kept_files(plan.given, plan.data, plan.calibration),
    )
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        foundation = lay_foundation(plan, bench)
        outcomes: list[Outcome] = []
        try:
            for outcome in build_candidates(Site(plan, bench, foundation)):
                outcomes.append(outcome)  # noqa: PERF402 - what is built so far, if interrupted
            timings = measure_candidates(plan, bench, foundation, _candidates(outcomes))
        except Interrupted as stop:
            if outcomes:
                partial = make_report(plan, bench, foundation, outcomes, Timings())
                stop.partial_report = report_to_json(partial)
            raise
        report = make_report(plan, bench, foundation, outcomes, timings)
        _write_output(plan, report, _candidates(outcomes))
    return report


def _candidates(outcomes: Sequence[Outcome]) -> list[Candidate]:
    return [outcome for outcome in outcomes if isinstance(outcome, Candidate)]


def _write_output(plan: RunPlan, report: Report, candidates: Sequence[Candidate]) -> None:
    with staged_output(plan.out.path, overwrite=plan.out.overwrite) as staging:
        for candidate in candidates:
            target = staging / artefact_file(plan.given.source, candidate.alias)
            shutil.copyfile(candidate.model.path, target)
        alias = report.verdict.alias or report.reference
        (staging / SNIPPET_FILE).write_text(serving_snippet(report, alias), encoding="utf-8")
        (staging / RECIPES_FILE).write_text(_recipes_text(plan), encoding="utf-8")
        (staging / REPORT_FILE).write_bytes(report_to_json(report))


def _recipes_text(plan: RunPlan) -> str:
    """Write down what was asked for, so that ``-r recipes.toml`` asks for the same."""
    return render_recipes(
        NamedRecipe(name=alias, recipe=order.recipe, scope=order.scope)
        for alias, order in plan.orders.items()
    )
