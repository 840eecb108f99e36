"""Models side by side: what a table, its notes and its marks are drawn from."""

from typing import Protocol

from onnxq.findings import Finding
from onnxq.reports import Limits, Variant


class SideBySide(Protocol):
    """A report is one, and what a profile is laid out as."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The rows of the table."""

    @property
    def reference(self) -> str:
        """Alias of the row that the others are compared with."""

    @property
    def limits(self) -> Limits:
        """What was demanded: decides the tone of a drop."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader should know."""
