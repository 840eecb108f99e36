"""Hints in the words of the verb that was typed.

What reads rows, and what stops a run, does not know for which verb it does so: its hints speak of
``--data``, which not every verb has, and know of no checkpoint.
"""

from collections.abc import Mapping

from onnxq.errors import Interrupted, OnnxqError

_GOES_ON = "What was calibrated until the last checkpoint is kept, and it goes on from there."
_IN_PLACE = {
    "--data or --calib": "--calib",
    "--calib and --data": "--calib",
    "--data": "--calib",
}


def fit_hint(error: OnnxqError, options: Mapping[str, object]) -> None:
    """Write an error's hint anew for the verb that it happened to.

    Args:
        error: What happened; its hint is changed.
        options: The verb's options, by keyword.
    """
    if "calib" in options and "data" not in options:
        error.hint = "\n".join(map(_with_calib, error.hint.split("\n")))
    keeps = options.get("cache") is True and not options.get("ranges")
    if isinstance(error, Interrupted) and keeps:
        error.hint = f"{error.hint} {_GOES_ON}".strip()


def _with_calib(line: str) -> str:
    """Name ``--calib`` in the place of ``--data``; lines with a command of another verb stay."""
    if any(verb in line for verb in ("onnxq run", "onnxq profile", "onnxq inspect")):
        return line
    for before, after in _IN_PLACE.items():
        line = line.replace(before, after)
    return line
