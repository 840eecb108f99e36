"""Which rewrites there are, asked of a child: their code loads what parses models."""

from onnxq.events import Tell
from onnxq.isolation import Workplace, default_limits, run_stage
from onnxq.pipeline.work_folders import work_folder
from onnxq.rewrite_facts import RewriteFacts
from onnxq.stages import LIST_REWRITES, ListRewritesRequest


def known_rewrites(tell: Tell) -> tuple[RewriteFacts, ...]:
    """Return what there is to know of each rewrite.

    Args:
        tell: Who listens to events of the child.

    Returns:
        In the order in which they are taken.
    """
    with work_folder() as folder:
        place = Workplace(folder, default_limits(), tell)
        return run_stage(LIST_REWRITES, ListRewritesRequest(), place).rewrites
