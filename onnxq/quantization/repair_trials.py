"""Models are tried out: a repair is believed after both sides of each step were run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from onnx import ModelProto, TensorProto, helper

from onnxq.arrays import Array
from onnxq.errors import InferenceError
from onnxq.graph import write_proto
from onnxq.graph.cleaning import clean
from onnxq.graph.edits import copy_of
from onnxq.graph.rewrites import FOR_REPAIR
from onnxq.graph.rewrites.unfold_integer_operators import UNFOLD_INTEGER_OPERATORS
from onnxq.graph.unrounded import without_rounding
from onnxq.profiling.agreement import SQNR_MOST_DB, compare_output
from onnxq.runtime import open_predict

_UNTIL_PAIRS = FOR_REPAIR[: FOR_REPAIR.index(UNFOLD_INTEGER_OPERATORS) + 1]
"""What makes pairs of whatever a tool wrote."""


@dataclass(frozen=True)
class Outputs:
    """What a model gives for the inputs of all trials.

    Attributes:
        arrays: By name, in the order of the model's outputs.
    """

    arrays: dict[str, Array]

    def equals(self, other: "Outputs") -> bool:
        """Whether all outputs are bit-identical.

        Args:
            other: Of another model with the same outputs.
        """
        return all(
            array.dtype == other.arrays[name].dtype
            and array.shape == other.arrays[name].shape
            and array.tobytes() == other.arrays[name].tobytes()
            for name, array in self.arrays.items()
        )

    def sqnr_db(self, reference: "Outputs") -> float:
        """Return the signal to noise of the worst output.

        Args:
            reference: What the outputs should be.

        Returns:
            200 where all are bit-identical, -200 where one is not finite.
        """
        if self.equals(reference):
            return SQNR_MOST_DB
        found = [
            compare_output(name, self.arrays[name], array).sqnr_db
            for name, array in reference.arrays.items()
            if array.dtype.kind == "f"
        ]
        worst = min(found, default=-SQNR_MOST_DB)
        return worst if math.isfinite(worst) else -SQNR_MOST_DB


@dataclass(frozen=True)
class Trial:
    """A model that was tried out.

    Attributes:
        proto: The model.
        outputs: What it gives, computed as the specification has it.
        unrounded_db: Of the worst output, against the given model where nothing is rounded but
            weights.
    """

    proto: ModelProto
    outputs: Outputs
    unrounded_db: float


@dataclass(frozen=True)
class Trials:
    """Where models are tried out, and on what.

    Attributes:
        folder: Where each lies while it is run.
        inputs: Of one inference.
        original: The given model.
        path: Its file.
    """

    folder: Path
    inputs: dict[str, Array]
    original: ModelProto
    path: str

    @cached_property
    def given(self) -> Trial:
        """The given model."""
        return self.look(self.original)

    def look(self, proto: ModelProto) -> Trial:
        """Run a model as the specification has it: onnxruntime's optimizations off."""
        outputs = self.run(proto, optimize=False)
        return Trial(proto, outputs, outputs.sqnr_db(self.unrounded))

    def is_equal_optimized(self, after: ModelProto, before: ModelProto) -> bool:
        """Tell whether two models give the same as onnxruntime runs them by default."""
        try:
            return self.run(after, optimize=True).equals(self.run(before, optimize=True))
        except InferenceError:  # it may load them without its optimizations only
            return False

    @cached_property
    def unrounded(self) -> Outputs:
        """What the given model gives where nothing is rounded but weights."""
        proto = self.original
        for rewrite in _UNTIL_PAIRS:
            proto = rewrite.apply(proto).proto
        return self.run(clean(without_rounding(proto), self.original.graph), optimize=True)

    def observe(self, proto: ModelProto, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Return what float tensors of a model lie between."""
        shown = copy_of(proto)
        shown.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
        )
        arrays = self.run(shown, optimize=False).arrays
        return {name: (float(arrays[name].min()), float(arrays[name].max())) for name in names}

    def run(self, proto: ModelProto, *, optimize: bool) -> Outputs:
        """Run a model once."""
        path = self.folder / "trial.onnx"
        write_proto(proto, path)
        try:
            return Outputs(open_predict(path, optimize=optimize)(self.inputs))
        finally:
            path.unlink()
