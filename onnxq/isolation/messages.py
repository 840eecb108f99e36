"""What a child and its parent say to each other: files and lines of JSON, never pickle."""

from typing import TypeAlias

from msgspec import Struct

from onnxq.errors import ERRORS, OnnxqError
from onnxq.events import Progressed

REQUEST_FILE = "request.json"
RESULT_FILE = "result.json"
LOG_FILE = "log.txt"


class KnownFailure(Struct, frozen=True, kw_only=True, tag="known"):
    """A stage raised an error that onnxq foresaw.

    Attributes:
        error: Name of its class in :mod:`onnxq.errors`.
        message: What failed.
        code: Its code.
        hint: What to do next.
    """

    error: str
    message: str
    code: str
    hint: str


class Bug(Struct, frozen=True, kw_only=True, tag="bug"):
    """A stage raised something else: a bug in onnxq, or in a package that it did not guard.

    Attributes:
        traceback: As Python prints it.
    """

    traceback: str


class Ready(Struct, frozen=True, tag="ready"):
    """The stage's result lies in its file, or the conversation is open."""


class Answered(Struct, frozen=True, kw_only=True, tag="answered"):
    """A question was answered.

    Attributes:
        answer: JSON of the answer.
    """

    answer: str


Message: TypeAlias = Progressed | KnownFailure | Bug | Ready | Answered


class WorkerBugError(RuntimeError):
    """A child ended in an exception that nobody foresaw; its traceback is the message."""


def as_failure(error: OnnxqError) -> KnownFailure:
    """Make a message of an error."""
    return KnownFailure(
        error=type(error).__name__, message=error.message, code=error.code, hint=error.hint
    )


def as_error(failure: KnownFailure) -> OnnxqError:
    """Make an error of a message."""
    kind = ERRORS[failure.error]
    return kind(failure.message, code=failure.code, hint=failure.hint)
