"""What graphs are made fit for: a kind of CPU, and which rewrites are let at them. Values only."""

from msgspec import Struct

from onnxq.targets import TargetName


class Tuning(Struct, frozen=True, kw_only=True):
    """What decides how a graph is rewritten, beside the graph itself.

    Attributes:
        target: The kind of CPU that will serve the model.
        skipped: Names of rewrites that are left out (``--skip-rewrite``).
        added: Names of optional rewrites that are taken (``--rewrite``).
    """

    target: TargetName = "x86-vnni"
    skipped: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def allows(self, name: str, *, is_optional: bool) -> bool:
        """Whether a rewrite is taken.

        Args:
            name: As ``--skip-rewrite`` spells it.
            is_optional: Whether it has to be asked for.
        """
        return name in self.added or not (is_optional or name in self.skipped)


USUAL = Tuning()
"""x86-64 with VNNI, and every rewrite that need not be asked for."""
