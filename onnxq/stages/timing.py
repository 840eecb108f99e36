"""What a model costs: its operators' times, its latency in turns, and who can run it."""

from msgspec import Struct

from onnxq.audits import Audit, NotAudited
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import NodeTime, OperatorTime
from onnxq.models import OnnxModel
from onnxq.stages.stage import Conversation, Stage


class ProfileOperatorsRequest(Struct, frozen=True, kw_only=True):
    """Time the operators of the graph that onnxruntime really runs.

    Attributes:
        model: What to run.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference.
        runs: How often to run it.
        provider: Who runs it: a name of :mod:`onnxq.providers`.
        io: Its integer inputs and outputs; rows are float, as the float model takes them.
    """

    model: OnnxModel
    inputs: dict[str, str]
    runs: int
    provider: str = "cpu"
    io: tuple[IntegerTensor, ...] = ()


class ProfileOperatorsResult(Struct, frozen=True, kw_only=True):
    """Operator times.

    Attributes:
        operators: Longest first.
        fallback_share: Share of the nodes that the default provider ran instead of the one asked
            for, as :func:`onnxq.profiling.operators.fallback_share` counts them.
        nodes: The same times node by node, in the order in which they first ran.
        audit: What was found in the graph that ran.
    """

    operators: tuple[OperatorTime, ...]
    fallback_share: float = 0.0
    nodes: tuple[NodeTime, ...] = ()
    audit: Audit = NotAudited()


class ListProvidersRequest(Struct, frozen=True):
    """Ask which providers this onnxruntime has."""


class ListProvidersResult(Struct, frozen=True):
    """What it has.

    Attributes:
        providers: Names of :mod:`onnxq.providers`, ``cpu`` among them.
    """

    providers: tuple[str, ...]


class LatencyChildRequest(Struct, frozen=True, kw_only=True):
    """Open a model for being timed in turns.

    Attributes:
        model: Path of the model.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference.
        threads: Thread counts; one session each.
        provider: Who runs it: a name of :mod:`onnxq.providers`.
        io: Its integer inputs and outputs; rows are float, as the float model takes them.
    """

    model: str
    inputs: dict[str, str]
    threads: tuple[int, ...]
    provider: str = "cpu"
    io: tuple[IntegerTensor, ...] = ()


class Turn(Struct, frozen=True, kw_only=True):
    """A turn of a child that is being timed.

    Attributes:
        threads: Which of its sessions runs.
        budget_ns: Wall time that the turn should take.
        least_runs: Runs that are kept, however long they take; 0 only loads and warms up.
    """

    threads: int
    budget_ns: int
    least_runs: int


class TurnTimes(Struct, frozen=True, kw_only=True):
    """What a turn measured.

    Attributes:
        wall_ns: Wall time of each run that was kept.
        cpu_ns: CPU time of each, by the clock of :func:`onnxq.profiling.turns.cpu_clock`.
        load_ns: Wall time to make the session, and what the first run took longer than the next
            ones.
        peak_bytes: Peak resident size of the child so far.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    load_ns: int
    peak_bytes: int


PROFILE_OPERATORS = Stage(
    "profile operators",
    "onnxq.profiling.operators:profile_operators",
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
)
PROVIDERS = Stage(
    "list providers",
    "onnxq.profiling.provider_listing:list_available",
    ListProvidersRequest,
    ListProvidersResult,
)
LATENCY = Conversation(
    "measure latency", "onnxq.profiling.turns:open_turns", LatencyChildRequest, Turn, TurnTimes
)
