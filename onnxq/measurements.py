"""What was measured of a model. Values only; units stand last in the names."""

import math
from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.estimates import Estimate

Clock: TypeAlias = Literal["cpu", "wall"]
MetricScale: TypeAlias = Literal["rate", "share", "own"]


class Size(Struct, frozen=True, kw_only=True):
    """What a model weighs.

    Attributes:
        file_bytes: The file and its side files.
        initializer_bytes: Bytes of initializers, by dtype.
    """

    file_bytes: int
    initializer_bytes: dict[str, int]


class Latency(Struct, frozen=True, kw_only=True):
    """Time of one inference of ``batch_rows`` rows at ``threads`` threads.

    Attributes:
        threads: Threads inside one inference.
        batch_rows: Rows of one inference.
        cpu_ns: CPU time of the calling thread (all the work at one thread): median of the
            turns' lower deciles, since whatever else runs only adds to it, and the number that
            ratios are made of. The interval is over blocks. At several threads, and of providers
            other than the default one: of the process.
        wall_ns: Median wall time; the interval is over blocks.
        wall_p90_ns: 90th percentile of wall time over all runs.
        wall_p99_ns: 99th percentile.
        load_ns: Wall time to make the session, and what the first run took longer than the next
            ones, since providers may compile a model then; median over blocks.
        peak_bytes: Peak resident size of a process that runs nothing else.
    """

    threads: int
    batch_rows: int
    cpu_ns: Estimate
    wall_ns: Estimate
    wall_p90_ns: float
    wall_p99_ns: float
    load_ns: float
    peak_bytes: int


class SpeedRatio(Struct, frozen=True, kw_only=True):
    """How many times faster than the reference: above 1 is faster.

    Attributes:
        threads: Threads inside one inference, of both.
        clock: ``cpu`` at one thread, ``wall`` above.
        ratio: Reference time divided by this model's time; t-interval on the blocks' log ratios.
        wall_ratio: The same in wall time, whatever the clock.
    """

    threads: int
    clock: Clock
    ratio: Estimate
    wall_ratio: Estimate

    @property
    def is_tie(self) -> bool:
        """Whether the interval touches [0.98, 1.02]."""
        return self.ratio.low <= TIE_HIGH and self.ratio.high >= TIE_LOW

    @property
    def is_unknown(self) -> bool:
        """Whether the interval touches that zone only because it is too wide to tell anything."""
        low, high = self.ratio.low, self.ratio.high
        return self.is_tie and (low <= 0 or math.log(high / low) > 2 * _WIDE)


TIE_LOW = 0.98
TIE_HIGH = 1.02
_WIDE = math.log(1.1)
"""Half the width of an interval, as a logarithm, from which on a tie is not known to be one."""

LEAST_SQNR_DB = 10.0
LEAST_SAME_TOP1 = 0.9
"""What a quantized model agrees with the float one at least, if it is any good."""


class Accuracy(Struct, frozen=True, kw_only=True):
    """A metric against labels, paired with the reference on the same rows.

    Attributes:
        metric: Its name, as :func:`onnxq.metric_choices.metric_name` writes it.
        higher_is_better: Direction of the metric.
        value: The metric of this model.
        drop: How much *worse* than the reference: positive is worse, whatever the direction.
        discordant_rows: Rows of which the two models have different values.
        scale: ``rate`` for a share of rows (or of their positions), which is told in percentage
            points; ``share`` for what else runs from 0 to 1; ``own`` for the rest.
    """

    metric: str
    higher_is_better: bool
    value: Estimate
    drop: Estimate
    discordant_rows: int
    scale: MetricScale = "own"


class OutputAgreement(Struct, frozen=True, kw_only=True):
    """How near one output is to the float model's.

    Attributes:
        output: The output's name.
        sqnr_db: Signal to quantization noise with the output's mean removed, in dB; 200 where
            the outputs are equal.
        cosine: Cosine similarity of all rows flattened.
        mean_abs_difference: Mean of the absolute differences.
        max_abs_difference: Largest absolute difference.
    """

    output: str
    sqnr_db: float
    cosine: float
    mean_abs_difference: float
    max_abs_difference: float


class NoClasses(Struct, frozen=True, tag="none"):
    """The outputs are not class scores: same-top-1 has no meaning."""


class Agreement(Struct, frozen=True, kw_only=True):
    """Agreement with the float model on the same rows; no labels needed.

    Attributes:
        rows: Rows compared.
        same_top1: Share of rows with the same first class.
        outputs: One entry an output.
    """

    rows: int
    same_top1: Estimate | NoClasses
    outputs: tuple[OutputAgreement, ...]

    @property
    def is_poor(self) -> bool:
        """Whether that is less than any good quantized model does: OQ402."""
        if not isinstance(self.same_top1, NoClasses) and self.same_top1.value < LEAST_SAME_TOP1:
            return True
        return any(one.sqnr_db < LEAST_SQNR_DB for one in self.outputs)


class Judged(Struct, frozen=True, tag="judged", kw_only=True):
    """There were labels.

    Attributes:
        accuracy: Against the labels.
        agreement: With the float model.
    """

    accuracy: Accuracy
    agreement: Agreement


class Compared(Struct, frozen=True, tag="compared", kw_only=True):
    """There were rows without labels.

    Attributes:
        agreement: With the float model.
    """

    agreement: Agreement


class Unjudged(Struct, frozen=True, tag="unjudged"):
    """There were no rows."""


Quality: TypeAlias = Judged | Compared | Unjudged


COMPILED_SUFFIX = "-subgraph"
"""Of what onnxruntime calls a part of a graph that a provider compiled, less its number."""


class OperatorTime(Struct, frozen=True, kw_only=True):
    """Time spent in one operator type of the graph that onnxruntime runs.

    Attributes:
        operator: Its type there, such as ``QLinearConv``.
        count: Nodes of this type.
        ns: Time per inference, all nodes together.
        share: Part of all operators' time, 0 to 1.
    """

    operator: str
    count: int
    ns: float
    share: float

    @property
    def is_compiled(self) -> bool:
        """Whether it is no operator, but the parts of a graph that a provider compiled."""
        return self.operator.endswith(COMPILED_SUFFIX)


Arithmetic: TypeAlias = Literal["integer", "float", "conversion", "other"]
"""``integer`` is quantized integers; ``conversion`` is between integers, floats and layouts;
``other`` is shapes, indices and conditions."""


class NodeTime(Struct, frozen=True, kw_only=True):
    """Time spent in one node of the graph that onnxruntime runs.

    Attributes:
        name: Of the node there.
        operator: Its type there, such as ``QLinearConv``.
        ns: Time per inference; of a node in the body of a Loop, all rounds together.
        covers: Nodes of the model's own graph that it stands for, by name, as far as that can be
            told: a fused one stands for several.
        macs: Multiply-adds per inference.
        arithmetic: What it computes with.
    """

    name: str
    operator: str
    ns: float
    covers: tuple[str, ...] = ()
    macs: int = 0
    arithmetic: Arithmetic = "other"
