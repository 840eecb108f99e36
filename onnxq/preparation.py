"""Preparation: a float model becomes one that onnxruntime's quantizers take, computing the same.

onnxslim, then onnxruntime's own offline ``ORT_ENABLE_BASIC`` level, then the rewrites of
:mod:`onnxq.graph.rewrites`, then a last cleaning. The pair in front failed on none of 22 graphs
of several exporters and moved outputs by at most 1e-7; still, each step is believed only after
its result has computed the same on random inputs of three scales. A step that has not is left
out and said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxslim
from onnx import GraphProto, ModelProto

from onnxq.errors import InferenceError, SourceError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph import load_proto, used_domains, write_proto
from onnxq.graph.cleaning import clean
from onnxq.graph.edits import copy_of
from onnxq.graph.model_files import written_size
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.refusals import check_quantizable
from onnxq.graph.rewrite_remarks import remark_tuning, remark_unmatched
from onnxq.graph.rewrites import FIRST, REWRITES, Rewrite, describe_rewrite
from onnxq.preparation_proofs import Reference, find_difference, run_reference
from onnxq.runtime import open_session, session_options
from onnxq.stages import PrepareRequest, PrepareResult
from onnxq.tunings import Tuning


@dataclass(frozen=True)
class _Step:
    """A part of the preparation.

    Attributes:
        name: For messages.
        apply: Makes another proto; names what it changed.
        note: What to tell about it where it changed something; empty where nothing.
        needs_proof: Whether it is left out where no probe could be run.
        may_bring: Operator domains that it may bring in.
    """

    name: str
    apply: Callable[[ModelProto], tuple[ModelProto, tuple[str, ...]]]
    note: str
    needs_proof: bool
    may_bring: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Went:
    """What became of a group of steps.

    Attributes:
        proto: The model.
        findings: What a reader should know.
        taken: Names of the steps that changed something.
    """

    proto: ModelProto
    findings: tuple[Finding, ...] = ()
    taken: frozenset[str] = frozenset()


class _StepFailedError(Exception):
    """A step could not be taken; the message says why."""


def prepare(request: PrepareRequest, folder: Path, tell: Tell) -> PrepareResult:
    """Make a model fit for onnxruntime's quantizers, without changing what it computes.

    Args:
        request: The model as converted or given, opset 13 or above.
        folder: Takes ``prepared.onnx`` and, while it works, the results of steps.
        tell: Told after each step.

    Returns:
        The prepared model, which keeps the interface and the opset of its source, and a finding
        for each step that was left out and each rewrite that a reader should know.

    Raises:
        SourceError: OQ110 if the model is quantized already, OQ111 if it is not float32 or below
            opset 13.
        QuantizationError: OQ113 if weights are not finite, OQ111 if two names of the interface
            cannot stay together.
        InferenceError: If onnxruntime cannot load the model.
    """
    proto = load_proto(request.model.path)
    quantized = describe_quantization(proto)
    if quantized:
        message = f"the model is quantized already ({quantized})."
        hint = "Give the float model that it was made from."
        raise SourceError(message, code="OQ110", hint=hint)
    check_quantizable(proto)
    reference, findings = run_reference(request.model)
    original, taken = proto, frozenset[str]()
    groups = _groups(folder, request.tuning)
    for number, group in enumerate(groups, start=1):
        went = _take_group(group, proto, original.graph, reference, folder / "step.onnx")
        proto, taken = went.proto, taken | went.taken
        findings += went.findings
        tell(Progressed("prepare", number, len(groups)))
    findings += [*remark_tuning(request.tuning)]
    findings += remark_unmatched((*FIRST, *REWRITES), taken, request.tuning)
    cleaned = clean(proto, original.graph)
    model = write_proto(cleaned, folder / "prepared.onnx")
    open_session(model.path, session_options())
    return PrepareResult(
        model=model, size=written_size(cleaned, model.path), findings=tuple(findings)
    )


def _groups(folder: Path, tuning: Tuning) -> list[list[_Step]]:
    """List the steps; those of a group are proven together if they can be."""
    first, then = (
        [_from_rewrite(rewrite) for rewrite in group if rewrite.is_taken(tuning)]
        for group in (FIRST, REWRITES)
    )
    return [
        first,
        [_Step("onnxslim", _slim, "", needs_proof=True)],
        [_Step("onnxruntime's basic optimizations", _basic_in(folder), "", needs_proof=True)],
        then,
    ]


def _from_rewrite(rewrite: Rewrite) -> _Step:
    def apply(proto: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
        rewritten = rewrite.apply(proto)
        return rewritten.proto, rewritten.subjects

    exact = rewrite.exactness == "bit-exact"
    return _Step(
        rewrite.name, apply, rewrite.note, needs_proof=not exact, may_bring=rewrite.domains
    )


def _slim(proto: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
    """Fold shapes and constants, fuse what follows a Conv into it."""
    try:
        return onnxslim.slim(copy_of(proto)), ("onnxslim",)
    except Exception as error:  # it raises whatever it meets
        message = f"it failed with {type(error).__name__}: {error}"
        raise _StepFailedError(message) from error


def _basic_in(folder: Path) -> Callable[[ModelProto], tuple[ModelProto, tuple[str, ...]]]:
    """Make the step that lets onnxruntime optimize offline, on files in ``folder``."""

    def apply(proto: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
        given, returned = folder / "basic-in.onnx", folder / "basic-out.onnx"
        given.write_bytes(proto.SerializeToString())
        options = session_options()
        levels = type(options.graph_optimization_level)
        options.graph_optimization_level = levels.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(returned)
        try:
            open_session(given, options)
            return load_proto(returned), ("onnxruntime",)
        finally:
            given.unlink()
            returned.unlink(missing_ok=True)

    return apply


def _take_group(
    group: Sequence[_Step],
    proto: ModelProto,
    original: GraphProto,
    reference: Reference,
    path: Path,
) -> _Went:
    """Take steps and prove them by one run of the model; where that fails, one by one.

    A proof takes a second for a model of 90 MB, a rewrite some hundredths.
    """
    went, why = _Went(proto), ""
    for step in group:
        if step.needs_proof and not reference.probes:
            continue
        following, subjects, why = _apply(step, went.proto, original)
        if why:
            break
        told = [describe_rewrite(step.name, step.note, subjects)] if subjects and step.note else []
        taken = {step.name} if subjects else set[str]()
        went = _Went(following, (*went.findings, *told), went.taken | taken)
    if went.proto is not proto:
        why = why or find_difference(went.proto, reference, path)
    if not why:
        return went
    if len(group) == 1:
        return _Went(proto, (_left_out(group[0], why),))
    went = _Went(proto)
    for step in group:
        one = _take_group([step], went.proto, original, reference, path)
        went = _Went(one.proto, (*went.findings, *one.findings), went.taken | one.taken)
    return went


def _apply(
    step: _Step, proto: ModelProto, original: GraphProto
) -> tuple[ModelProto, tuple[str, ...], str]:
    """Apply one step; return the model, what changed, and why it may not be taken, if so."""
    try:
        changed, subjects = step.apply(proto)
    except InferenceError as error:
        return proto, (), error.message
    except _StepFailedError as error:
        return proto, (), str(error)
    if not subjects:
        return proto, (), ""
    changed = clean(changed, original)
    return changed, subjects, _foreign(step, changed, proto)


def _foreign(step: _Step, after: ModelProto, before: ModelProto) -> str:
    """Say which operators a step brought in that it may not; empty if none."""
    domains = set(used_domains(after)) - set(used_domains(before)) - step.may_bring
    return f"it brought in operators of {', '.join(sorted(domains))}" if domains else ""


def _left_out(step: _Step, why: str) -> Finding:
    return Finding(
        code="OQ114",
        subject=step.name,
        message=f"{step.name} was left out of the preparation, because {why}.",
        severity="warning",
    )
