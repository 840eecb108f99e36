"""A plan is executed: stages in order, children alone touch models, output whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onnxq.datasets.values import DataRequest
from onnxq.errors import Interrupted
from onnxq.events import Tell
from onnxq.isolation import Workplace
from onnxq.isolation.commit import REPORT_FILE, SNIPPET_FILE, check_output, staged_output
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.candidates import Candidate, Outcome, Site, build_candidates
from onnxq.pipeline.foundation import lay_foundation
from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.private_copies import given_files
from onnxq.pipeline.reporting import artefact_file, make_report
from onnxq.pipeline.timings import Timings, measure_candidates
from onnxq.reports import Report, report_to_json
from onnxq.snippets import serving_snippet


def execute_plan(plan: RunPlan, tell: Tell) -> Report:
    """Do everything that a plan says.

    Args:
        plan: The run.
        tell: Who listens.

    Returns:
        The report; it and the models lie in the output folder.

    Raises:
        OnnxqError: What a stage raised; nothing was written then.
        Interrupted: With a partial report, if a candidate was judged before.
    """
    check_output(plan.out, overwrite=plan.overwrite, kept=_kept_files(plan))
    with _work_folder() as folder:
        bench = Bench(Workplace(folder, plan.child_limits, tell), tell)
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
    with staged_output(plan.out, overwrite=plan.overwrite) as staging:
        for candidate in candidates:
            target = staging / artefact_file(plan.source, candidate.alias)
            shutil.copyfile(candidate.model.path, target)
        alias = report.verdict.alias or report.reference
        (staging / SNIPPET_FILE).write_text(serving_snippet(report, alias), encoding="utf-8")
        (staging / REPORT_FILE).write_bytes(report_to_json(report))


def _kept_files(plan: RunPlan) -> tuple[Path, ...]:
    data = [one for one in (plan.data, plan.calibration) if isinstance(one, DataRequest)]
    named = [text for one in data for text in (one.spec, one.classes) if text]
    return (*given_files(plan.source), *map(Path, named))


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Give a private folder, which is gone afterwards however the body ends."""
    folder = Path(tempfile.mkdtemp(prefix="onnxq-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
