"""The coarsest float type decides how far apart two right programs may be."""

import pytest

from onnxq.conversion.tolerances import BFLOAT16, FLOAT16, FLOAT32, tolerance_of


@pytest.mark.parametrize(
    ("floats", "tolerance"),
    [
        ((), FLOAT32),
        (("",), FLOAT32),
        (("float64",), FLOAT32),
        (("float32", "float16"), FLOAT16),
        (("float16", "bfloat16"), BFLOAT16),
        (("bfloat16",), BFLOAT16),
    ],
)
def test_the_coarsest_decides(floats, tolerance):
    assert tolerance_of(floats) == tolerance
