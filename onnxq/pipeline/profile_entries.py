"""Models to be measured side by side are opened: a given ``.onnx`` is run as it is."""

from dataclasses import dataclass, replace

from onnxq.documents import NotProfiled
from onnxq.errors import Interrupted, OnnxqError, SourceError
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.pipeline.arrivals import convert_source
from onnxq.pipeline.audits import OWN_PRODUCER
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.plans import Given, ProfilePlan
from onnxq.pipeline.private_copies import copy_source
from onnxq.sources import OnnxFile, source_path
from onnxq.stages import INSPECT, InspectRequest


@dataclass(frozen=True)
class Entry:
    """A model that is measured.

    Attributes:
        name: What the user typed.
        given: What that stands for.
        model: As it is run: converted, unless it was given as ``.onnx``.
        size: What it weighs.
        min_runtime: Lowest version of onnxruntime that can load it.
        quantized: How it is quantized; empty where it is float.
        io: Its integer inputs and outputs.
        findings: Of its conversion.
        repairable: The file, if repairing it may help: one that onnxq did not write.
    """

    name: str
    given: Given
    model: OnnxModel
    size: Size
    min_runtime: str
    quantized: str
    io: tuple[IntegerTensor, ...]
    findings: tuple[Finding, ...]
    repairable: str = ""


def open_entries(plan: ProfilePlan, bench: Bench) -> tuple[list[Entry], list[NotProfiled]]:
    """Open the models of a plan.

    Args:
        plan: Which.
        bench: Where stages are carried out.

    Returns:
        The models that could be opened, and the rows of those that could not.

    Raises:
        OnnxqError: What the only model failed of.
        SourceError: If none of several could be opened.
    """
    entries: list[Entry] = []
    failed: list[NotProfiled] = []
    for name, given in plan.models.items():
        try:
            entries.append(_open_entry(bench, name, given))
        except Interrupted:
            raise
        except OnnxqError as error:
            if len(plan.models) == 1:
                raise
            failed += [not_profiled(name, provider, error) for provider in plan.providers]
    if not entries:
        message = f"none of the {len(plan.models)} models can be opened. {failed[0].reason}"
        raise SourceError(message, code=failed[0].code, hint=failed[0].hint)
    return _declared_apart(entries), failed


def _declared_apart(entries: list[Entry]) -> list[Entry]:
    """Let each model keep the declared inputs that it has; what no model has stays an error."""
    known = {spec.name for entry in entries for spec in entry.model.signature.inputs}
    kept = []
    for entry in entries:
        others = known - {spec.name for spec in entry.model.signature.inputs}
        declared = tuple(one for one in entry.given.declared if one.name not in others)
        kept.append(replace(entry, given=replace(entry.given, declared=declared)))
    return kept


def _open_entry(bench: Bench, name: str, given: Given) -> Entry:
    if isinstance(given.source, OnnxFile):
        copies = bench.place.new_folder("source")
        copy = copy_source(given.source, copies, bench.place)
        path = source_path(copy)
        findings: tuple[Finding, ...] = ()
    else:
        converted = convert_source(given, bench)
        path, findings = converted.model.path, converted.findings
    inspected = bench.run(INSPECT, InspectRequest(path=path), name)
    is_own = inspected.producer == OWN_PRODUCER
    return Entry(
        name=name,
        given=given,
        model=inspected.model,
        size=inspected.size,
        min_runtime=inspected.min_runtime,
        quantized=inspected.quantized_already,
        io=inspected.io,
        findings=findings,
        repairable="" if is_own else source_path(given.source),
    )


def not_profiled(name: str, provider: str, error: OnnxqError) -> NotProfiled:
    """Make the row of a model that could not be run."""
    return NotProfiled(
        model=name, provider=provider, code=error.code, reason=error.message, hint=error.hint
    )
