from onnxq.calibrations import CalibrationEffort
from onnxq.cli.calibration_words import effort_lines


def test_rows_that_are_in_no_range_are_told_beside_those_that_were_looked_at():
    effort = CalibrationEffort(
        origin="computed", rows=64, given_rows=64, tensors=5, passes=1, left_out_rows=62
    )
    assert "64 rows, 62 of them left out, 5 tensors" in effort_lines(effort)[0]
