"""A plan is executed: stages in order, children alone touch models, output whole or not at all."""

from collections.abc import Sequence

from onnxq.documents import artefact_files
from onnxq.errors import Interrupted
from onnxq.isolation.ownership import RECIPES_FILE, SNIPPET_FILE
from onnxq.pipeline.bench import open_bench
from onnxq.pipeline.candidates import (
    Candidate,
    Outcome,
    build_candidates,
    float_candidate,
    open_site,
)
from onnxq.pipeline.foundation import lay_foundation
from onnxq.pipeline.handing_over import check_destination, hand_over
from onnxq.pipeline.loading_advice import advising_repair
from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.reporting import artefact_file, make_report
from onnxq.pipeline.searching import search_further
from onnxq.pipeline.timings import Timings, measure_candidates
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.recipe_files import render_recipes
from onnxq.recipe_kinds import NamedRecipe
from onnxq.reports import Report, report_to_json
from onnxq.snippets import serving_snippet
from onnxq.sources import source_path


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
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.data, plan.calibration))
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        foundation = lay_foundation(plan, bench)
        outcomes: list[Outcome] = [float_candidate(foundation)]
        try:
            site = open_site(plan, bench, foundation)
            for outcome in build_candidates(site):
                outcomes.append(outcome)  # noqa: PERF402 - what is built so far, if interrupted
            for outcome in search_further(site, tuple(outcomes)):
                outcomes.append(outcome)  # noqa: PERF402 - likewise
            with advising_repair(
                source_path(plan.given.source), foundation.converted.quantized_already
            ):
                timings = measure_candidates(plan, bench, foundation, _candidates(outcomes))
        except Interrupted as stop:
            partial = make_report(plan, bench, foundation, outcomes, Timings())
            stop.partial_report = report_to_json(partial)
            raise
        report = make_report(plan, bench, foundation, outcomes, timings)
        return _write_output(plan, report, _candidates(outcomes))


def _candidates(outcomes: Sequence[Outcome]) -> list[Candidate]:
    return [outcome for outcome in outcomes if isinstance(outcome, Candidate)]


def _write_output(plan: RunPlan, report: Report, candidates: Sequence[Candidate]) -> Report:
    """Write the candidates that have an ``ok`` row; one that could not be timed has none."""
    alias = report.verdict.alias or report.reference
    paths = {artefact_file(plan.given.source, one.alias): one.model.path for one in candidates}
    models = {file: paths[file] for file in artefact_files(report)}
    texts = {
        SNIPPET_FILE: serving_snippet(report, alias),
        RECIPES_FILE: _recipes_text(plan, candidates),
    }
    return hand_over(plan.out, models, report, texts)


def _recipes_text(plan: RunPlan, candidates: Sequence[Candidate]) -> str:
    """Write down what was asked for and what a search found, so that ``-r recipes.toml`` builds it.

    What was found is told by the nodes that stay float: building it again measures nothing.
    """
    found = {one.alias: order for one in candidates for order in one.rebuilt_by}
    return render_recipes(
        NamedRecipe(name=alias, recipe=order.recipe, scope=order.scope)
        for alias, order in {**plan.orders, **found}.items()
    )
