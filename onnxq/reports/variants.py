"""What came of each recipe."""

from typing import TypeAlias

from msgspec import Struct

from onnxq.audits import Audit, NotAudited
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Latency, OperatorTime, Quality, Size, SpeedRatio


class Artefact(Struct, frozen=True, kw_only=True):
    """A file that can be served.

    Attributes:
        file: Name in the output folder.
        sha256: Of the file.
        size: What it weighs.
        opset: Of the default operator set.
        ir_version: Of the file format.
        min_runtime: Lowest version of onnxruntime that can load it, by its opset and IR.
        quantized_nodes: Nodes that run, or could run, on integers.
        quantizable_nodes: Nodes that the recipe looked at.
        left_float: Name and reason of each node that the recipe left in float.
        io: Inputs and outputs that are integer where the float model's are float.
    """

    file: str
    sha256: str
    size: Size
    opset: int
    ir_version: int
    min_runtime: str
    quantized_nodes: int
    quantizable_nodes: int
    left_float: dict[str, str] = {}
    io: tuple[IntegerTensor, ...] = ()


class Measured(Struct, frozen=True, kw_only=True, tag="ok"):
    """A candidate that was built, passed its gates and was measured.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        artefact: Its file.
        quality: Accuracy, agreement, or neither.
        latencies: One per thread count.
        speed: Ratio to the fp32 candidate, one per thread count; empty for fp32 itself.
        speed_over_given: Ratio to the model as it was given, one per thread count.
        operators: Where the time goes at one thread.
        seconds: Wall time to build it.
        audit: What onnxruntime really runs of it.
    """

    alias: str
    recipe: str
    artefact: Artefact
    quality: Quality
    latencies: tuple[Latency, ...]
    speed: tuple[SpeedRatio, ...]
    speed_over_given: tuple[SpeedRatio, ...]
    operators: tuple[OperatorTime, ...]
    seconds: float
    audit: Audit = NotAudited()


class Unusable(Struct, frozen=True, kw_only=True, tag="unusable"):
    """A candidate whose outputs are worthless; never recommended.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why.
    """

    alias: str
    recipe: str
    reason: str


class NotApplicable(Struct, frozen=True, kw_only=True, tag="not_applicable"):
    """The recipe finds nothing to do in this model.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why.
    """

    alias: str
    recipe: str
    reason: str


class Tried(Struct, frozen=True, kw_only=True, tag="tried"):
    """The recipe was tried on the quiet, and is no better than what it was held against.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why it went no further.
        speed_ratio: How many times faster than fp32 it was in a short measurement, at the first
            thread count; 0 where it was not measured.
    """

    alias: str
    recipe: str
    reason: str
    speed_ratio: float = 0.0


class Skipped(Struct, frozen=True, kw_only=True, tag="skipped"):
    """The recipe was not tried.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why, and what it would need.
    """

    alias: str
    recipe: str
    reason: str


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The recipe was tried and failed; the others go on.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        code: The error's code.
        reason: The error's message.
        hint: What to do about it.
    """

    alias: str
    recipe: str
    code: str
    reason: str
    hint: str


Variant: TypeAlias = Measured | Unusable | NotApplicable | Tried | Skipped | Failed
