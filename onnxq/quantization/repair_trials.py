"""Models are tried out: a repair is believed after both sides of each step were run."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from onnxq.quantization.kernel_counts import count_kernels
from onnxq.runtime import open_predict
from onnxq.stages import KernelCount
from onnxq.wording import shorten_sentence

_UNTIL_PAIRS = FOR_REPAIR[: FOR_REPAIR.index(UNFOLD_INTEGER_OPERATORS) + 1]
"""What makes pairs of whatever a tool wrote."""
_BEFORE_THE_POINT = re.compile(r".*(?:was false\. |Status Message: |: FAIL : )", re.DOTALL)
_MOST_CHARACTERS = 160


def essence(failure: str) -> str:
    """Shorten what onnxruntime says of a failure to what is wrong, in whole words.

    Args:
        failure: Its words, with the place in its source in front.

    Returns:
        About a line, without a full stop.
    """
    words = _BEFORE_THE_POINT.sub("", failure).split()
    text = shorten_sentence(" ".join(words), _MOST_CHARACTERS - len(" …"))
    return text.rstrip(".")


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

        Integers are compared as the numbers that they are, which is what they stand for but for
        one factor and one shift. Those of more than 8 bits are labels or positions as a rule, so
        they count only where there is nothing else.

        Returns:
            200 where all are bit-identical, -200 where nothing can be compared: the worst output
            is not finite, or the reference is constant.
        """
        if self.equals(reference):
            return SQNR_MOST_DB
        values = {name: one for name, one in reference.arrays.items() if _is_values(one)}
        numbers = {name: one for name, one in reference.arrays.items() if one.dtype.kind in "iu"}
        found = [
            compare_output(name, self.arrays[name], array).sqnr_db
            for name, array in (values or numbers).items()
        ]
        worst = min(found, default=-SQNR_MOST_DB)
        return worst if math.isfinite(worst) else -SQNR_MOST_DB


def _is_values(array: Array) -> bool:
    return array.dtype.kind == "f" or (array.dtype.kind in "iu" and array.dtype.itemsize == 1)


NOTHING = Outputs({})


@dataclass(frozen=True)
class Trial:
    """A model that was tried out.

    Attributes:
        proto: The model.
        outputs: What it gives, computed as the specification has it.
        served: What it gives as onnxruntime runs it by default; nothing where it cannot.
        failure: What onnxruntime says where it cannot; empty where it can.
        unrounded_db: Of the worst of ``outputs``, against the given model where nothing is rounded
            but weights.
    """

    proto: ModelProto
    outputs: Outputs
    served: Outputs
    failure: str
    unrounded_db: float

    def equals_served(self, other: "Trial") -> bool:
        """Whether both give the same as onnxruntime runs them by default."""
        return not (self.failure or other.failure) and self.served.equals(other.served)


@dataclass(frozen=True)
class Trials:
    """Where models are tried out, and on what.

    Attributes:
        folder: Where each lies while it is run.
        inputs: Of one inference.
        original: The given model.
        title: What failures call the models: the given file's name.
    """

    folder: Path
    inputs: dict[str, Array]
    original: ModelProto
    title: str

    @cached_property
    def given(self) -> Trial:
        """The given model."""
        return self.look(self.original)

    def look(self, proto: ModelProto) -> Trial:
        """Run a model as the specification has it, and as onnxruntime does by default.

        Raises:
            InferenceError: If onnxruntime cannot run it without its optimizations.
        """
        with self._written(proto) as path:
            outputs, served, failure = self._run(path, optimize=False), NOTHING, ""
            try:
                served = self._run(path, optimize=True)
            except InferenceError as error:  # it may load it without its optimizations only
                failure = error.message
        return Trial(proto, outputs, served, failure, outputs.sqnr_db(self.unrounded))

    def count(self, proto: ModelProto) -> KernelCount:
        """Count the kernels that onnxruntime runs of a model by default."""
        with self._written(proto) as path:
            return count_kernels(path, self.folder)

    @cached_property
    def unrounded(self) -> Outputs:
        """What the given model gives where nothing is rounded but weights."""
        proto = self.original
        for rewrite in _UNTIL_PAIRS:
            proto = rewrite.apply(proto).proto
        with self._written(clean(without_rounding(proto), self.original.graph)) as path:
            return self._run(path, optimize=True)

    def observe(self, proto: ModelProto, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Return what float tensors of a model lie between."""
        shown = copy_of(proto)
        shown.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
        )
        with self._written(shown) as path:
            arrays = self._run(path, optimize=False).arrays
        return {name: (float(arrays[name].min()), float(arrays[name].max())) for name in names}

    @contextmanager
    def _written(self, proto: ModelProto) -> Iterator[Path]:
        """Write a model under the given one's name: messages of onnxruntime show it."""
        folder = self.folder / "trial"
        folder.mkdir(exist_ok=True)
        path = folder / Path(self.title).name
        try:
            write_proto(proto, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _run(self, path: Path, *, optimize: bool) -> Outputs:
        return Outputs(open_predict(path, optimize=optimize)(self.inputs))
