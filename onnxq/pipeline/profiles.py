"""``profile``: any number of models side by side, on the same rows, by one provider or several."""

import datetime as dt
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from onnxq.documents import NotProfiled, Profile, Profiled, ProfileRow, Unavailable
from onnxq.errors import InferenceError, Interrupted, OnnxqError
from onnxq.findings import Finding
from onnxq.measurements import Latency, Quality, SpeedRatio
from onnxq.pipeline.arrivals import inference_rows, load_rows, store_inference
from onnxq.pipeline.audits import advise_audit, explain_audit
from onnxq.pipeline.bench import Bench, open_bench
from onnxq.pipeline.foundation import Subject, predict_and_judge
from onnxq.pipeline.interleaved import measure_together
from onnxq.pipeline.loading_advice import advising_repair
from onnxq.pipeline.plans import ProfilePlan
from onnxq.pipeline.profile_entries import Entry, not_profiled, open_entries
from onnxq.pipeline.reporting import SANDBOX, data_facts, measured_environment
from onnxq.pipeline.timings import OPERATOR_RUNS
from onnxq.pipeline.work_folders import work_folder
from onnxq.providers import DEFAULT_PROVIDER, why_missing
from onnxq.stages import (
    PROFILE_OPERATORS,
    PROVIDERS,
    LatencyChildRequest,
    ListProvidersRequest,
    LoadRowsResult,
    NoDataRequest,
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
)

if TYPE_CHECKING:
    from onnxq.profiling.latency import LatencyStudy


@dataclass(frozen=True)
class _Case:
    """A model, who runs it, and what came out."""

    entry: Entry
    provider: str
    rows: LoadRowsResult
    inputs: dict[str, str]
    quality: Quality
    findings: tuple[Finding, ...]

    @property
    def key(self) -> str:
        return f"{self.entry.name} on {self.provider}"

    def request(self, threads: tuple[int, ...]) -> LatencyChildRequest:
        return LatencyChildRequest(
            model=self.entry.model.path,
            inputs=self.inputs,
            threads=threads,
            provider=self.provider,
            io=self.entry.io,
        )


@dataclass
class _Gathering:
    """Cases judged so far, what the first of them gave out, and the rows of those that failed.

    ``batch_rows`` is that of every inference: times of different batches are no ratio.
    """

    batch_rows: int
    cases: list[_Case] = field(default_factory=list)
    reference: dict[str, str] = field(default_factory=dict)
    lost: list[Unavailable | NotProfiled] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def execute_profile(plan: ProfilePlan) -> Profile:
    """Measure models side by side.

    Args:
        plan: What to do.

    Returns:
        One row per model and provider. What fails costs its own rows.

    Raises:
        OnnxqError: What the only model failed of, or each of several.
    """
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        missing = _missing_providers(plan, bench)
        entries, failed = open_entries(plan, bench)
        gathered = _Gathering(_common_batch(plan, entries))
        gathered.lost += failed
        for entry in entries:
            gathered.findings += entry.findings
            for provider in plan.providers:
                if provider in missing:
                    row = Unavailable(model=entry.name, provider=provider, reason=missing[provider])
                    gathered.lost.append(row)
                else:
                    _gather(plan, bench, entry, provider, gathered)
        return _time_and_describe(plan, bench, gathered)


def _common_batch(plan: ProfilePlan, entries: Sequence[Entry]) -> int:
    """Return the rows of every inference: asked for, or of the first model whose batch is fixed."""
    fixed = (entry.model.signature.fixed_batch_rows for entry in entries)
    return plan.timing.batch_rows or next((rows for rows in fixed if rows), 1)


def _missing_providers(plan: ProfilePlan, bench: Bench) -> dict[str, str]:
    """Say why providers that were asked for cannot run anything here."""
    if set(plan.providers) == {DEFAULT_PROVIDER}:
        return {}
    found = bench.run(PROVIDERS, ListProvidersRequest(), "onnxruntime").providers
    return {name: why_missing(name) for name in plan.providers if name not in found}


def _gather(
    plan: ProfilePlan, bench: Bench, entry: Entry, provider: str, gathered: _Gathering
) -> None:
    try:
        case = _judge(plan, bench, entry, provider, gathered)
    except Interrupted:
        raise
    except OnnxqError as error:
        if len(plan.models) * len(plan.providers) == 1:
            raise
        gathered.lost.append(not_profiled(entry.name, provider, error))
    else:
        gathered.cases.append(case)
        gathered.findings += case.findings


def _judge(
    plan: ProfilePlan, bench: Bench, entry: Entry, provider: str, gathered: _Gathering
) -> _Case:
    """Load the rows as this model takes them, run it, and compare it with the first."""
    data, declared = plan.data, entry.given.declared
    key = f"{entry.name} on {provider}"
    first = gathered.cases[0].key if gathered.cases else key
    rows = load_rows(bench, entry.model, data, NoDataRequest(), declared, split=False)
    with advising_repair(entry.name, entry.quantized):
        outputs, judged = predict_and_judge(
            bench,
            plan.judging,
            Subject(key, entry.model, entry.io, provider, first),
            rows,
            gathered.reference,
        )
    inputs = store_inference(
        bench,
        entry.model,
        rows.evaluation,
        declared,
        batch_rows=inference_rows(entry.model, gathered.batch_rows, rows.evaluation),
        seed=plan.timing.seed,
    )
    gathered.reference = gathered.reference or outputs
    findings = (*rows.findings, *_advise(judged.findings, gathered.cases, entry.name, provider))
    return _Case(entry, provider, rows, inputs, judged.quality, findings)


def _advise(
    findings: tuple[Finding, ...], cases: list[_Case], name: str, provider: str
) -> tuple[Finding, ...]:
    """Say how to tell a model that is bad from a provider that computes it differently."""
    if not cases or cases[0].provider == provider:
        return findings
    other = cases[0].provider
    fix = (
        f"It is the same model, computed differently: serve it on {DEFAULT_PROVIDER}."
        if cases[0].entry.name == name
        else f"See its row on {other}: where that one agrees, {provider} computes it differently."
    )
    return tuple(replace(one, fix=fix) if one.code == "OQ402" else one for one in findings)


def _time_and_describe(plan: ProfilePlan, bench: Bench, gathered: _Gathering) -> Profile:
    if not gathered.cases:
        first = gathered.lost[0]
        message = f"no model could be run. {first.model} on {first.provider}: {first.reason}"
        hint = first.hint if isinstance(first, NotProfiled) else "Leave --provider out."
        raise InferenceError(message, code="OQ173", hint=hint)
    study = _time(plan, bench, gathered)
    ratios = study.ratios(gathered.cases[0].key)
    found = (*gathered.findings, *bench.findings, *study.findings)
    rows: list[ProfileRow] = list(gathered.lost)
    for case in gathered.cases:
        try:
            row = _timed_row(bench, case, study, ratios.get(case.key, ()))
            rows.append(row)
            found = (*found, *explain_audit(case.key, row.audit))
        except Interrupted:
            raise
        except OnnxqError as error:
            rows.append(not_profiled(case.entry.name, case.provider, error))
    return Profile(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.course.command,
        environment=measured_environment(study.busy_ratio),
        data=data_facts(plan.data, NoDataRequest(), gathered.cases[0].rows),
        rows=tuple(sorted(rows, key=lambda row: _place(plan, row))),
        findings=tuple(one for place, one in enumerate(found) if one not in found[:place]),
        seconds=dict(bench.seconds),
        sandbox=SANDBOX,
    )


def _time(plan: ProfilePlan, bench: Bench, gathered: _Gathering) -> "LatencyStudy":
    """Time all cases together; where the first fails, the next is what speeds are relative to."""
    threads = plan.timing.threads
    while True:
        cases = gathered.cases
        try:
            with advising_repair(cases[0].entry.name, cases[0].entry.quantized):
                return measure_together(
                    bench,
                    {case.key: case.request(threads) for case in cases},
                    threads,
                    batch_rows=gathered.batch_rows,
                    seconds=plan.timing.seconds,
                )
        except Interrupted:
            raise
        except OnnxqError as error:  # of the first; what others fail of is noted in the study
            if len(cases) == 1:
                raise
            first = cases.pop(0)
            gathered.lost.append(not_profiled(first.entry.name, first.provider, error))


def _timed_row(
    bench: Bench, case: _Case, study: "LatencyStudy", speed: tuple[SpeedRatio, ...]
) -> Profiled:
    if case.key in study.dropped:
        hint = "Leave it out, and report the model to onnxq."
        raise InferenceError(study.dropped[case.key], code="OQ173", hint=hint)
    return _row(case, _operators(bench, case), study.latencies[case.key], speed)


def _place(plan: ProfilePlan, row: ProfileRow) -> tuple[int, int]:
    return list(plan.models).index(row.model), plan.providers.index(row.provider)


def _operators(bench: Bench, case: _Case) -> ProfileOperatorsResult:
    request = ProfileOperatorsRequest(
        model=case.entry.model,
        inputs=case.inputs,
        runs=OPERATOR_RUNS,
        provider=case.provider,
        io=case.entry.io,
    )
    return bench.run(PROFILE_OPERATORS, request, case.key)


def _row(
    case: _Case,
    operators: ProfileOperatorsResult,
    latencies: tuple[Latency, ...],
    speed: tuple[SpeedRatio, ...],
) -> Profiled:
    entry = case.entry
    return Profiled(
        model=entry.name,
        provider=case.provider,
        quantized=entry.quantized,
        size=entry.size,
        opset=entry.model.opset,
        min_runtime=entry.min_runtime,
        sha256=entry.model.sha256,
        quality=case.quality,
        latencies=latencies,
        speed=speed,
        operators=operators.operators,
        fallback_share=operators.fallback_share,
        audit=advise_audit(operators.audit, file=entry.repairable),
    )
