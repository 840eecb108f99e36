"""What ``repair`` did."""

from typing import Literal

from msgspec import Struct

from onnxq.findings import Finding
from onnxq.measurements import Latency, Size, SpeedRatio
from onnxq.reports import Artefact, DataFacts, Environment, NoData, SourceFacts
from onnxq.stages.repairing import KernelCount, RepairStep
from onnxq.targets import TargetName


class Repair(Struct, frozen=True, kw_only=True):
    """What ``repair`` did.

    Attributes:
        schema: ``onnxq/repair/1``.
        kind: ``repair``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        environment: Where it was measured.
        source: The given model; ``quantized_already`` says how it is quantized.
        data: The rows that the steps were proven on; random ones were taken where there is none.
        target: The kind of CPU that it was repaired for.
        artefact: The file that was written.
        size_before: What the given model weighs, cleaned.
        steps: Rewrites in the order in which they were taken, those that were not kept among
            them; empty where there was nothing to repair.
        is_equal: Whether all outputs are bit-identical to the given model's, with onnxruntime's
            own optimizations off.
        sqnr_db: Of the worst output against the given model's, optimizations off; 200 where equal.
        optimized_sqnr_db: Of the worst output with onnxruntime's optimizations on, against the
            given model without them.
        given_optimized_sqnr_db: The same of the given model; 0 where ``given_failure`` is not
            empty.
        given_failure: What onnxruntime says where it cannot load the given model with its
            optimizations on; empty where it can. It is not timed then.
        unrounded_db_before: Of the worst output of the given model, against the same without the
            rounding of its activations.
        unrounded_db: The same of the repaired model, optimizations on.
        is_equal_served: Whether all outputs are bit-identical to the given model's with
            onnxruntime's optimizations on, as both are served by default.
        served_sqnr_db: Of the worst output against the given model's, likewise; 200 where equal, 0
            where ``given_failure`` is not empty.
        served_unrounded_db_before: As ``unrounded_db_before``, optimizations on; 0 where
            ``given_failure`` is not empty.
        before: Kernels that onnxruntime runs of the given model.
        after: Kernels that it runs of the repaired one.
        latencies_before: Of the given model, one per thread count; empty where nothing was
            measured (``--no-measure``).
        latencies_after: Of the repaired model.
        speed: Ratio to the given model, one per thread count: above 1 is faster.
        out: Where it lies: a file, or a folder.
        findings: What a reader should know.
        seconds: Wall time by stage.
        sandbox: What the children were confined by.
        files: SHA-256 of each file that was written beside the document, by name; empty where
            one file was written, and no document.
    """

    schema: str = "onnxq/repair/1"
    kind: Literal["repair"] = "repair"
    onnxq: str
    created: str
    command: tuple[str, ...]
    environment: Environment
    source: SourceFacts
    data: DataFacts | NoData
    target: TargetName
    artefact: Artefact
    size_before: Size
    steps: tuple[RepairStep, ...]
    is_equal: bool
    sqnr_db: float
    optimized_sqnr_db: float
    given_optimized_sqnr_db: float
    unrounded_db_before: float
    unrounded_db: float
    before: KernelCount
    after: KernelCount
    latencies_before: tuple[Latency, ...]
    latencies_after: tuple[Latency, ...]
    speed: tuple[SpeedRatio, ...]
    out: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    sandbox: str
    files: dict[str, str] = {}
    given_failure: str = ""
    is_equal_served: bool = False
    served_sqnr_db: float = 0.0
    served_unrounded_db_before: float = 0.0
