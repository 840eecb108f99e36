"""Findings: what a run noticed and a reader should know."""

from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.codes import check_code

Severity: TypeAlias = Literal["note", "warning"]


class Finding(Struct, frozen=True, kw_only=True):
    """Something worth a sentence in the report.

    Attributes:
        code: From :mod:`onnxq.codes`.
        subject: What it is about: a recipe's alias, a tensor, a file.
        message: One sentence that says what, and because of what.
        evidence: Names and values that back the sentence, for machines.
        fix: What to do about it; empty where nothing needs doing.
        severity: ``note`` or ``warning``.
    """

    code: str
    subject: str
    message: str
    evidence: dict[str, str | int | float] = {}
    fix: str = ""
    severity: Severity = "note"

    def __post_init__(self) -> None:
        """Check the code.

        Raises:
            KeyError: If the code is not registered.
        """
        check_code(self.code)
