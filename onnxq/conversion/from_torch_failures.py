"""What PyTorch's errors say, without the pages around it."""

from collections.abc import Iterator


def reason(error: BaseException) -> str:
    """Return the first line of the error at the bottom: exporters wrap it in pages."""
    *_, root = causes(error)
    return f"{type(root).__name__}: {first_line(root)}"


def first_line(error: BaseException) -> str:
    """Return the first line that says something; the next one too where it only leads there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    goes_on = lines[0].endswith(":")
    return " ".join(lines[: 2 if goes_on else 1])


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
