"""What onnxruntime makes of a model: the values of an audit of the graph that it really runs."""

from typing import Literal, TypeAlias

from msgspec import Struct

Place: TypeAlias = Literal["between", "start", "end"]


class Island(Struct, frozen=True, kw_only=True):
    """Float operators beside integer ones, with the conversions that they cost.

    Attributes:
        place: ``between`` integers, or at the ``start`` or the ``end`` of the model, where it is
            listed only if it multiplies.
        nodes: Of the graph that is run, by name, conversions left out; none where integers are
            only brought from one scale to another.
        operators: Their types, each once, most frequent first.
        reason: Why they are not integer.
        fix: What to do about it; empty where nothing is known.
        macs: Multiply-adds in it.
        ns: Time per inference, conversions included; what two islands share is of the first.
    """

    place: Place
    nodes: tuple[str, ...]
    operators: tuple[str, ...]
    reason: str
    fix: str
    macs: int
    ns: float


class AddedNode(Struct, frozen=True, kw_only=True):
    """A node that onnxruntime put in for itself: the model has none of this type there.

    Attributes:
        name: Of the node.
        operator: ``Transpose``, ``Cast``, ``ReorderInput`` or ``ReorderOutput``.
        reason: What it is for.
        ns: Time per inference.
    """

    name: str
    operator: str
    reason: str
    ns: float


class SlowKernel(Struct, frozen=True, kw_only=True):
    """A kernel that computes with integers, and is known to do so slowly on this kind of CPU.

    Attributes:
        name: Of the node.
        operator: Its type.
        reason: Why it is slow.
        fix: What to do about it.
        macs: Its multiply-adds.
        ns: Time per inference.
    """

    name: str
    operator: str
    reason: str
    fix: str
    macs: int
    ns: float


class RuntimeAudit(Struct, frozen=True, kw_only=True, tag="audited"):
    """What was found in the graph that onnxruntime really runs.

    Attributes:
        kernels: Its nodes.
        macs: Multiply-adds of one inference.
        integer_macs: Those in integer kernels.
        ns: Time of all kernels, per inference.
        islands: Float operators beside integer ones, those with the most time first.
        added: Nodes that onnxruntime put in.
        slow: Integer kernels that are slow here.
        unmatched: Nodes that only the graph or only the profile has; empty, or the audit is not
            of what was timed.
    """

    kernels: int
    macs: int
    integer_macs: int
    ns: float
    islands: tuple[Island, ...] = ()
    added: tuple[AddedNode, ...] = ()
    slow: tuple[SlowKernel, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def integer_ratio(self) -> float:
        """Share of the multiply-adds in integer kernels, 0 to 1."""
        return self.integer_macs / self.macs if self.macs else 0.0


class NotAudited(Struct, frozen=True, kw_only=True, tag="none"):
    """The graph that is run was not looked at.

    Attributes:
        reason: Why not; empty where nobody asked.
        fix: What to do about it; empty where nothing is known.
    """

    reason: str = ""
    fix: str = ""


Audit: TypeAlias = RuntimeAudit | NotAudited
