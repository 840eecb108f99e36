"""What a plan would cost, found out before it is carried out."""

from msgspec import Struct

from onnxq.datasets.values import DataRequest
from onnxq.sources import InputDeclaration
from onnxq.stages.arriving import NoDataRequest
from onnxq.stages.calibrating import RangesAsked
from onnxq.stages.stage import Stage


class EstimateRequest(Struct, frozen=True, kw_only=True):
    """Find out what a plan would cost.

    Attributes:
        model: A private copy of an ``.onnx`` file; empty where the model is of another kind.
        declared: Inputs as ``--input`` declares them.
        data: Rows to judge on.
        calibration: Rows to calibrate on.
        split: Whether some of ``data`` would be kept for calibration.
        calibration_rows: How many of them at most; 0 for the default.
        asked: Ranges that would be calibrated.
        memory_bytes: The cap of the calibration; 0 takes half of what is free.
        threads: Worker threads of the calibration.
        stop_early: Whether calibration would stop once more rows would hardly change the ranges.
        repaired: As the user named a model that would be repaired; empty where it would not.
    """

    model: str
    declared: tuple[InputDeclaration, ...]
    data: DataRequest | NoDataRequest
    calibration: DataRequest | NoDataRequest
    split: bool
    calibration_rows: int = 0
    asked: tuple[RangesAsked, ...] = ()
    memory_bytes: int = 0
    threads: int = 1
    stop_early: bool = False
    repaired: str = ""


class EstimateResult(Struct, frozen=True, kw_only=True):
    """What is known before; -1 stands for what is not.

    Attributes:
        evaluation_rows: Rows that would be judged on.
        calibration_rows: Rows that would be calibrated on.
        file_bytes: Of the model.
        row_ns: Wall time of one row, at the batch and the threads that models are judged with.
        peak_bytes: Peak resident size of a process that runs the model so.
        input_row_bytes: Of one row of all inputs.
        output_row_bytes: Of one row of all outputs.
        calibration_row_ns: Wall time of one row while calibrating, all passes and threads together.
        calibration_peak_bytes: Memory that calibrating takes beyond what its process takes anyway.
        calibration_passes: Passes over the rows that the cap on memory asks for.
        calibration_opening_ns: Wall time of making that ready, for all passes; 0 for unknown.
        loading_row_ns: Wall time of loading one row; likewise.
        not_timed: Why the model could not be timed; empty where it was, or is not ONNX yet.
        not_calibrated: Why it is not known what calibrating it costs; empty where it is, or nothing
            would be calibrated, or the model is not ONNX yet.
        quantized_already: How the model is quantized; empty where it is float, or not ONNX yet.
    """

    evaluation_rows: int
    calibration_rows: int
    file_bytes: int = -1
    row_ns: int = -1
    peak_bytes: int = -1
    input_row_bytes: int = -1
    output_row_bytes: int = -1
    calibration_row_ns: int = -1
    calibration_peak_bytes: int = -1
    calibration_passes: int = -1
    calibration_opening_ns: int = 0
    loading_row_ns: int = 0
    not_timed: str = ""
    not_calibrated: str = ""
    quantized_already: str = ""


ESTIMATE = Stage("estimate", "onnxq.estimating:estimate", EstimateRequest, EstimateResult)
