"""``onnxq doctor``: this machine, and what a file would need."""

import click

from onnxq.cli.flags import PRESENTING
from onnxq.cli.invocation import Invocation, verb
from onnxq.cli.parameter_types import Spec
from onnxq.cli.presenting import present


@verb(
    arguments=(click.Argument(["file"], type=Spec(), default=""),),
    headings={"Output": (*PRESENTING, "help")},
    examples=("onnxq doctor", "onnxq doctor model.keras"),
    about="Nothing is installed, and no code of FILE is run.",
)
def doctor(asked: Invocation, file: str) -> int:
    """Describe this machine and its packages, and what FILE would need."""
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_json  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_doctor import render_doctor  # noqa: PLC0415 - rich

    with listening(asked.shown) as tell:
        found = verbs.doctor(file, tell=tell)
    present(
        asked.shown,
        lambda: tagged_json("doctor", found),
        lambda screen: render_doctor(found, screen),
    )
    return 0
