"""Somebody else's quantized model is rewritten for onnxruntime's integer kernels, step by step."""

from msgspec import Struct

from onnxq.findings import Finding
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.stages.stage import Stage
from onnxq.tunings import USUAL, Tuning


class RepairRequest(Struct, frozen=True, kw_only=True):
    """Repair a quantized model, and prove each step by running it.

    Attributes:
        model: A model with quantized activations.
        inputs: Path of an ``.npy`` array by input name: rows of one inference, real or random.
        rows_are_real: Whether the user gave them. Only then are ranges that the file lacks taken
            from them.
        tuning: For which CPU, with which rewrites.
        given: As the user named the model, for messages; empty where nobody did.
    """

    model: OnnxModel
    inputs: dict[str, str]
    rows_are_real: bool = False
    tuning: Tuning = USUAL
    given: str = ""


class RepairStep(Struct, frozen=True, kw_only=True):
    """One rewrite that changed something, or that was not kept.

    Attributes:
        name: Of the rewrite, such as ``shift activations to uint8``.
        slug: What ``--skip-rewrite`` calls it.
        exactness: What it claims: ``bit-exact``, ``real-exact`` or ``approximate``.
        subjects: How many nodes or tensors it changed.
        shown: Names of the first few of them.
        is_equal: Whether all outputs stayed bit-identical to those before the step, with
            onnxruntime's own optimizations off.
        sqnr_db: Of the worst output against the one before the step, likewise; 200 where equal.
        is_equal_optimized: Whether they stayed bit-identical with onnxruntime's optimizations on,
            which is when integer kernels run; not so where it cannot run one of the two.
        unrounded_db: Of the worst output after the step, against the given model without the
            rounding of its activations: how near it is to what it stands for.
        why: What the step is good for, without a full stop.
        note: What a reader should know about it; empty where nothing.
        left_out: Why it was not kept; empty where it was.
    """

    name: str
    slug: str
    exactness: str
    subjects: int
    shown: tuple[str, ...]
    is_equal: bool
    sqnr_db: float
    is_equal_optimized: bool = False
    unrounded_db: float = 0.0
    why: str = ""
    note: str = ""
    left_out: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the repaired model has it."""
        return not self.left_out


class KernelCount(Struct, frozen=True, kw_only=True):
    """What onnxruntime makes of the nodes that multiply by default.

    Attributes:
        integer: Convolutions and matrix products on integer kernels.
        floats: Those that run in float.
        conversions: QuantizeLinear and DequantizeLinear that really run.
    """

    integer: int
    floats: int
    conversions: int


class RepairResult(Struct, frozen=True, kw_only=True):
    """A repaired model.

    Attributes:
        model: In the stage's folder.
        size: What it weighs.
        size_before: What the given model weighs, cleaned.
        steps: In the order in which they were taken; empty where there was nothing to repair.
        is_equal: Whether all outputs are bit-identical to the given model's on the inputs of the
            request, with onnxruntime's own optimizations off.
        sqnr_db: Of the worst output against the given model's, optimizations off; 200 where equal.
        optimized_sqnr_db: Of the worst output with onnxruntime's optimizations on, against the
            given model without them: what serving really gives.
        given_optimized_sqnr_db: The same of the given model: what serving it gives; 0 where
            ``given_failure`` is not empty.
        given_failure: What onnxruntime says where it cannot load the given model with its
            optimizations on; empty where it can.
        unrounded_db_before: Of the worst output of the given model, against the same without the
            rounding of its activations.
        unrounded_db: The same of the repaired model, optimizations on.
        is_equal_served: Whether all outputs are bit-identical to the given model's with
            onnxruntime's optimizations on, as both are served by default.
        served_sqnr_db: Of the worst output against the given model's, likewise; 200 where equal, 0
            where ``given_failure`` is not empty.
        served_unrounded_db_before: As ``unrounded_db_before``, optimizations on; 0 where
            ``given_failure`` is not empty.
        before: Kernels of the given model; none where onnxruntime cannot load it.
        after: Kernels of the repaired one.
        findings: What a reader should know.
    """

    model: OnnxModel
    size: Size
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
    findings: tuple[Finding, ...]
    given_failure: str = ""
    is_equal_served: bool = False
    served_sqnr_db: float = 0.0
    served_unrounded_db_before: float = 0.0


REPAIR = Stage("repair", "onnxq.quantization.repairing:repair", RepairRequest, RepairResult)
