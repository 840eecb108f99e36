from onnxq.estimates import Estimate, exact
from onnxq.measurements import OperatorTime, SpeedRatio
from onnxq.pipeline.explaining import explain_speed
from onnxq.pipeline.timings import Timings


def timings(low, value, high, *operators):
    ratio = Estimate(value, low, high, 5, "t-95")
    speed = SpeedRatio(threads=1, clock="cpu", ratio=ratio, wall_ratio=exact(value))
    return Timings(speed={"int8": (speed,)}, operators={"int8": operators})


CONV_INTEGER = OperatorTime(operator="ConvInteger", count=20, ns=9e6, share=0.91)


def test_slower_says_because():
    (finding,) = explain_speed("int8", timings(0.12, 0.13, 0.14, CONV_INTEGER))
    assert finding.code == "OQ201"
    assert "0.13x" in finding.message
    assert "91% of its time is in 20 ConvInteger" in finding.message
    assert finding.evidence["share_ConvInteger"] == 0.91


def test_faster_says_nothing():
    assert explain_speed("int8", timings(1.9, 2.0, 2.1, CONV_INTEGER)) == ()


def test_tie_is_not_slower():
    assert explain_speed("int8", timings(0.97, 0.985, 0.999)) == ()


def test_unknown_operators_are_not_blamed():
    (finding,) = explain_speed("int8", timings(0.5, 0.6, 0.7))
    assert "because" not in finding.message
