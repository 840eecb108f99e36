"""What is known of a model and its rows before a verb is carried out: ``--plan`` rests on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnxq.datasets.values import DataRequest
from onnxq.findings import Finding
from onnxq.pipeline.bench import open_bench
from onnxq.pipeline.plans import AS_USUAL, Calibrating, Course, Given
from onnxq.pipeline.private_copies import absolute_request, copy_source
from onnxq.pipeline.work_folders import work_folder
from onnxq.sources import OnnxFile, source_path
from onnxq.stages import (
    ESTIMATE,
    EstimateRequest,
    EstimateResult,
    NoDataRequest,
    RangesAsked,
)

CHILD_S = 0.4
"""Starting a process that loads onnxruntime."""

_PREPARER_BYTES, _PREPARER_COPIES = 185 * 10**6, 10
"""What a process weighs that prepares a model, and how many times the model comes on top: it is the
largest of those that handle models. Measured, of models of 0.3, 14, 47, 88 and 102 MB: 183, 295,
647, 955 and 1101 MB; quantizing takes less, 923 MB of the last one."""

_CONVERTER_BYTES, _CONVERTER_COPIES = 95 * 10**6, 5
"""The same of one that takes over a model that is ONNX already: 93, 155, 316, 523 and 593 MB."""

_STORED_BYTES_PER_S = 200e6
"""Rows that are checked and stored, measured; what reading them takes comes on top."""

_CALIBRATOR_BYTES = 80 * 10**6
"""What a process weighs that calibrates, before it does and without the model, measured."""

_NS_PER_S = 1e9


@dataclass(frozen=True)
class Outlook:
    """What is known of a plan's model and rows.

    Attributes:
        given: The model.
        found: What a child found out; -1 stands for what cannot be told before.
        has_cache: Whether there is a cache, which may hold the calibration already. Nobody knows
            before the rows were read and the model was prepared.
    """

    given: Given
    found: EstimateResult
    has_cache: bool = False

    def row_seconds(self, rows: int, *, children: int = 1) -> tuple[float, str]:
        """Return the time that so many rows take in some processes, and what that rests on."""
        if self.found.row_ns < 0 or rows < 0:
            return 0.0, ""
        seconds = rows * self.found.row_ns / _NS_PER_S
        return children * CHILD_S + seconds, "a few rows were run"

    def calibration_seconds(self, parts: int = 1) -> tuple[float, str]:
        """Return the time that calibrating on one of some parts takes, and what that rests on."""
        found = self.found
        if found.calibration_row_ns < 0 or found.calibration_rows < 0:
            return 0.0, ""
        running = found.calibration_rows * found.calibration_row_ns / parts
        seconds = (found.calibration_opening_ns + running) / _NS_PER_S
        passes = found.calibration_passes
        extra = f"; {passes} passes, to keep its memory in bounds" if passes > 1 else ""
        return CHILD_S + seconds, f"a few rows were calibrated on{extra}"

    def loading_seconds(self) -> tuple[float, str]:
        """Return the time that loading the rows takes, and what that rests on."""
        found = self.found
        counts = found.evaluation_rows, found.calibration_rows
        if min(*counts, found.input_row_bytes) < 0 or not found.loading_row_ns:
            return 0.0, ""
        row_s = found.loading_row_ns / _NS_PER_S + found.input_row_bytes / _STORED_BYTES_PER_S
        return CHILD_S + sum(counts) * row_s, "a few rows were loaded"

    def peak_bytes(self, *, prepares: bool = True) -> int:
        """Return the peak of the largest child, as far as it is known; -1 where it is not.

        Args:
            prepares: Whether the model is prepared, to be calibrated or quantized.
        """
        found = self.found
        if found.peak_bytes < 0:
            return -1
        calibrating = 0
        if found.calibration_peak_bytes > 0 and found.calibration_rows:
            calibrating = _CALIBRATOR_BYTES + found.file_bytes + found.calibration_peak_bytes
        handling = _CONVERTER_BYTES + _CONVERTER_COPIES * found.file_bytes
        if prepares:
            handling = _PREPARER_BYTES + _PREPARER_COPIES * found.file_bytes
        return max(found.peak_bytes, handling, calibrating)

    def stored_bytes(self, models: int) -> int:
        """Return what the rows and the outputs of so many models take; -1 for unknown."""
        judged, calibrated = self.found.evaluation_rows, self.found.calibration_rows
        if not (judged or calibrated):
            return 0
        if min(judged, calibrated, self.found.row_ns) < 0:
            return -1
        rows = (judged + calibrated) * self.found.input_row_bytes
        return rows + models * judged * self.found.output_row_bytes


def look(  # noqa: PLR0913 - what is asked of a plan, one keyword each
    given: Given,
    data: DataRequest | NoDataRequest,
    calibration: DataRequest | NoDataRequest,
    course: Course,
    *,
    split: bool,
    asked: tuple[RangesAsked, ...] = (),
    how: Calibrating = AS_USUAL,
    repairs: bool = False,
) -> Outlook:
    """Count the rows of a plan, and run its model a little where it is ONNX already.

    Args:
        given: The model.
        data: Rows to judge on.
        calibration: Rows to calibrate on.
        course: How children are held.
        split: Whether some of ``data`` would be kept for calibration.
        asked: Ranges that would be calibrated.
        how: How they would be.
        repairs: Whether the model would be repaired; what cannot be is refused (OQ175).

    Returns:
        What was found. It raises what the stage raises.
    """
    with work_folder() as folder:
        bench = open_bench(folder, course)
        path = ""
        if isinstance(given.source, OnnxFile):
            copies = bench.place.new_folder("source")
            path = source_path(copy_source(given.source, copies, bench.place))
        request = EstimateRequest(
            model=path,
            declared=given.declared,
            data=absolute_request(data),
            calibration=absolute_request(calibration),
            split=split,
            calibration_rows=how.rows,
            asked=asked,
            memory_bytes=how.memory_bytes,
            threads=course.work_threads,
            stop_early=how.stop_early,
            repaired=source_path(given.source) if repairs else "",
        )
        found = bench.run(ESTIMATE, request, source_path(given.source))
        return Outlook(given, found, has_cache=bool(how.cache_folder))


def disk_bytes(outlooks: Sequence[Outlook], files: int) -> int:
    """Reckon what a verb takes on disk at most.

    Args:
        outlooks: Of its models.
        files: How many models it writes; each lies in the work folder first, and none is larger
            than the one that was given.

    Returns:
        Bytes; 0 for unknown.
    """
    given = [outlook.found.file_bytes for outlook in outlooks]
    stored = [outlook.stored_bytes(max(files, 1)) for outlook in outlooks]
    if min(*given, *stored) < 0:
        return 0
    return sum(given) * 2 * (1 + files) + sum(stored)


def memory_bytes(outlooks: Sequence[Outlook], *, prepares: bool) -> int:
    """Reckon the peak of a child of a verb, in bytes; 0 for unknown."""
    peaks = [outlook.peak_bytes(prepares=prepares) for outlook in outlooks]
    return max(peaks) if min(peaks) >= 0 else 0


def note_unknown(outlook: Outlook) -> tuple[Finding, ...]:
    """Say what running or calibrating a model costs cannot be told, and why."""
    found = outlook.found
    unknown = {}
    if found.row_ns < 0:
        late = "it is not ONNX yet, and no framework is loaded for a plan"
        unknown["running"] = found.not_timed or late
    if found.not_calibrated and found.calibration_rows:
        unknown["calibrating"] = found.not_calibrated
    return tuple(
        Finding(
            code="OQ208",
            subject=source_path(outlook.given.source),
            message=f"What {doing} it costs cannot be told before: {why.rstrip('.')}.",
        )
        for doing, why in unknown.items()
    )
