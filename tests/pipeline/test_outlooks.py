"""What is reckoned from what a child found out."""

import pytest

from onnxq.pipeline.outlooks import Outlook, memory_bytes
from onnxq.pipeline.plans import Given
from onnxq.sources import OnnxFile
from onnxq.stages import EstimateResult, NoDataRequest

MB = 10**6


def outlook(**found):
    known = {"evaluation_rows": 0, "calibration_rows": 100, "peak_bytes": 100 * MB}
    source, nothing = OnnxFile(path="m.onnx"), NoDataRequest()
    given = Given(source=source, declared=(), data=nothing, check=True, seed=0, trust=False)
    return Outlook(given, EstimateResult(**known | found))


@pytest.mark.parametrize(
    ("size_mb", "real_mb"),
    [(0.3, 183), (14, 295), (46.7, 647), (88, 955), (102.1, 1101), (114.2, 1123)],
)
def test_the_reckoned_peak_of_preparing_is_near_the_measured_one(size_mb, real_mb):
    reckoned = memory_bytes([outlook(file_bytes=int(size_mb * MB))], prepares=True)
    assert real_mb * MB <= reckoned < 1.2 * real_mb * MB


def test_a_model_that_is_only_taken_over_takes_less():
    one = outlook(file_bytes=100 * MB)
    assert memory_bytes([one], prepares=False) < memory_bytes([one], prepares=True) / 1.5


def test_loading_takes_reading_and_storing():
    one = outlook(file_bytes=1, loading_row_ns=10**7, input_row_bytes=2 * MB)
    assert one.loading_seconds()[0] == pytest.approx(0.4 + 100 * (0.01 + 0.01))
    assert outlook(file_bytes=1).loading_seconds() == (0.0, "")


def test_opening_the_model_counts_once_and_rows_by_part():
    known = {"calibration_row_ns": 10**7, "calibration_opening_ns": 2 * 10**9}
    assert outlook(**known).calibration_seconds(2)[0] == pytest.approx(0.4 + 2 + 0.5)
