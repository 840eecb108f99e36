"""What a calibration took, in words: rows, tensors, passes, memory, and what was predicted."""

from collections.abc import Mapping

from onnxq.calibrations import CalibrationEffort, CalibrationOrigin
from onnxq.cli.cells import duration, size_text
from onnxq.wording import count_noun

_ORIGINS: Mapping[CalibrationOrigin, str] = {
    "computed": "",
    "resumed": "resumed",
    "cached": "from an earlier run",
    "merged": "merged from parts",
    "given": "from a file of ranges",
}
_LABEL = len("Approximate")


def effort_lines(effort: CalibrationEffort) -> tuple[str, ...]:
    """Say what a calibration took, and what it was predicted to take.

    Args:
        effort: What it took.

    Returns:
        One line for rows and tensors, and one for each of time, memory, early stopping and
        approximation where there is something to say. Their first words are aligned.
    """
    ran = effort.passes > 0
    said = {
        "Calibrated": _looked_at(effort),
        "Time": _time(effort) if ran else "",
        "Memory": _memory(effort) if ran else "",
        "Settled": _settled(effort) if effort.convergence else "",
        "Approximate": _sampled(effort.stride) if effort.stride > 1 else "",
    }
    return tuple(f"{name:<{_LABEL}} {text}" for name, text in said.items() if text)


def _looked_at(effort: CalibrationEffort) -> str:
    """Name rows, tensors, where they come from, and passes; what is not known is left out."""
    rows = f"{effort.rows} of {count_noun(effort.given_rows, 'row')}"
    if effort.rows >= effort.given_rows:
        rows = count_noun(effort.rows, "row") if effort.rows else ""
    left_out = f"{effort.left_out_rows} of them left out" if effort.left_out_rows else ""
    passes = f"{effort.passes} {'pass' if effort.passes == 1 else 'passes'}"
    facts = (
        rows,
        left_out,
        f"{count_noun(effort.tensors, 'tensor')}{'' if effort.origin == 'given' else ' watched'}",
        _ORIGINS[effort.origin],
        passes if effort.passes else "",
    )
    return ", ".join(filter(None, facts))


def _time(effort: CalibrationEffort) -> str:
    known = effort.predicted_seconds > 0
    predicted = f" (predicted {duration(effort.predicted_seconds)})" if known else ""
    cpu = f", {duration(effort.cpu_seconds)} of CPU" if effort.cpu_seconds else ""
    return f"{duration(effort.seconds)}{predicted}{cpu}"


def _memory(effort: CalibrationEffort) -> str:
    cap = size_text(effort.cap_bytes)
    predicted = size_text(effort.predicted_peak_bytes)
    over = bool(effort.cap_bytes) and effort.peak_bytes > effort.cap_bytes
    beside = (
        f"predicted {predicted}" if effort.predicted_peak_bytes else "",
        f"allowed {cap}" if effort.cap_bytes and not over else "",
    )
    remarks = ", ".join(filter(None, beside))
    return (
        f"{size_text(effort.peak_bytes)} beyond the base"
        f"{f', over {cap} allowed' if over else ''}{f' ({remarks})' if remarks else ''}"
    )


def _settled(effort: CalibrationEffort) -> str:
    gap = f"{effort.convergence[-1].gap_db:.2f} dB"
    if effort.rows < effort.given_rows:
        return f"on these rows: the last of them moved the ranges by {gap}"
    return f"not early: all rows were used, the last moved the ranges by {gap}"


def _sampled(stride: int) -> str:
    ordinal = {1: "st", 2: "nd", 3: "rd"}.get(stride % 10, "th")
    ordinal = "th" if stride % 100 in {11, 12, 13} else ordinal
    return f"every {stride}{ordinal} value was counted; minmax ranges are exact"
