"""Which graph rewrites there are: told by a child, which may load their code."""

from msgspec import Struct

from onnxq.rewrite_facts import RewriteFacts
from onnxq.stages.stage import Stage


class ListRewritesRequest(Struct, frozen=True, kw_only=True):
    """List the graph rewrites."""


class ListRewritesResult(Struct, frozen=True, kw_only=True):
    """The graph rewrites.

    Attributes:
        rewrites: All of them, in the order in which they are taken.
    """

    rewrites: tuple[RewriteFacts, ...]


LIST_REWRITES = Stage(
    "list rewrites",
    "onnxq.graph.listing_rewrites:list_rewrites",
    ListRewritesRequest,
    ListRewritesResult,
)
