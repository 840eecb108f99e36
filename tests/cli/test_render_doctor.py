"""Which distribution brought a package, where that is not plain."""

import msgspec
import pytest
from sample_inspections import DOCTOR

from onnxq.cli.render_doctor import render_doctor
from onnxq.cli.screen import Screen
from onnxq.packages import Package


@pytest.mark.parametrize(
    ("distributions", "said"),
    [
        (("onnxruntime",), "onnxruntime 1.24.1 "),
        (("onnxruntime-openvino",), "onnxruntime 1.24.1 (onnxruntime-openvino)"),
        (
            ("onnxruntime", "onnxruntime-openvino"),
            "(onnxruntime and onnxruntime-openvino overwrite each other: uninstall all but one)",
        ),
    ],
)
def test_distribution_is_named_where_it_is_not_the_packages(distributions, said):
    package = Package(name="onnxruntime", version="1.24.1", extra="", distributions=distributions)
    doctor = msgspec.structs.replace(DOCTOR, packages=(package,))
    text = " ".join(render_doctor(doctor, Screen(columns=120)).split())
    assert said in text
    assert ("(" in text.partition("packages")[2]) == ("(" in said)
