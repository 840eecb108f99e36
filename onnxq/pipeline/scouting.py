"""Short measurements, which choose what is worth a long one."""

from collections.abc import Mapping
from typing import Protocol

from onnxq.integer_tensors import IntegerTensor
from onnxq.models import OnnxModel
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.interleaved import measure_together
from onnxq.stages import LatencyChildRequest

SCOUTING_S = 4.0
SCOUTING_BLOCKS = 2
"""Of a measurement that chooses among a few models and is not reported: wall time, and fresh
processes of each model whatever they take."""

_FLOAT = "fp32"


class Runnable(Protocol):
    """What can be timed: a model, and which of its inputs and outputs are integers."""

    @property
    def model(self) -> OnnxModel:
        """The model."""

    @property
    def io(self) -> tuple[IntegerTensor, ...]:
        """Its integer inputs and outputs."""


def scout(
    blank: Blank,
    models: Mapping[str, Runnable],
    threads: tuple[int, ...],
    *,
    seconds: float = SCOUTING_S,
) -> dict[str, float]:
    """Measure models for a short time.

    Args:
        blank: The prepared model; it is measured with them.
        models: By name.
        threads: Thread counts.
        seconds: Wall time for all of it.

    Returns:
        How many times faster than the prepared model each is at the first thread count; those
        that could not be measured are not in there.
    """
    inputs = dict(blank.inputs)
    entries = {_FLOAT: LatencyChildRequest(model=blank.model.path, inputs=inputs, threads=threads)}
    for name, made in models.items():
        entries[name] = LatencyChildRequest(
            model=made.model.path, inputs=inputs, threads=threads, io=made.io
        )
    study = measure_together(
        blank.bench, entries, threads, batch_rows=1, seconds=seconds, least_blocks=SCOUTING_BLOCKS
    )
    return {name: ratios[0].ratio.value for name, ratios in study.ratios(_FLOAT).items()}
