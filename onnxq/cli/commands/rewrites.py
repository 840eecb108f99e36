"""``onnxq rewrites``: what is changed in graphs, and why."""

from onnxq.cli.flags import PRESENTING
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.presenting import present


@verb(
    headings={"Output": (*PRESENTING, "help")},
    examples=("onnxq rewrites", "onnxq rewrites --json"),
    about="A rewrite that is on by default is left out by --skip-rewrite NAME, one that is "
    "optional is taken by --rewrite NAME. Each result is compared with the graph before.",
)
def rewrites(asked: Invocation) -> int:
    """List the rewrites of graphs: how exact, for which CPUs, and why."""
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_list_json  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_rewrites import render_rewrites  # noqa: PLC0415 - rich

    found = verbs.rewrites()
    present(
        asked.shown,
        lambda: tagged_list_json("rewrites", found),
        lambda screen: render_rewrites(found, screen),
    )
    return 0
