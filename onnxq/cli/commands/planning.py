"""``--plan``: what a verb would do."""

from onnxq.cli.invocation import Invocation
from onnxq.cli.presenting import present


def show_plan(
    asked: Invocation, verb: str, subject: str | tuple[str, ...], **options: object
) -> int:
    """Show what a verb would do; nothing is done and no framework is loaded.

    Args:
        asked: How the verb was called.
        verb: Its name.
        subject: The model, or the models.
        options: Its own options.

    Returns:
        The exit code: 0.
    """
    from msgspec.structs import replace  # noqa: PLC0415 - --help must not load it

    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.effective_settings import settings_findings  # noqa: PLC0415 - as above
    from onnxq.cli.render_plan import render_plan  # noqa: PLC0415 - rich
    from onnxq.documents import document_to_json  # noqa: PLC0415 - --help must not load it

    plan = verbs.plan(verb, subject, **options)
    plan = replace(plan, findings=(*plan.findings, *settings_findings(asked.settings)))
    out = str(options.get("out", ""))
    present(
        asked.shown,
        lambda: document_to_json(plan),
        lambda screen: render_plan(plan, screen, asked.command, out=out),
    )
    return 0
