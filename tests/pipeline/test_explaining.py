import pytest

from onnxq.estimates import Estimate, exact
from onnxq.measurements import Latency, OperatorTime, SpeedRatio
from onnxq.pipeline.explaining import explain_limits, explain_speed, explain_target
from onnxq.pipeline.timings import Timings
from onnxq.reports import Environment, Verdict


def timings(low, value, high, *operators, cpu_ns=9.9e6):
    latency = Latency(
        threads=1,
        batch_rows=1,
        cpu_ns=exact(cpu_ns),
        wall_ns=exact(cpu_ns),
        wall_p90_ns=cpu_ns,
        wall_p99_ns=cpu_ns,
        load_ns=1e6,
        peak_bytes=1,
    )
    ratio = Estimate(value, low, high, 5, "t-95")
    speed = SpeedRatio(threads=1, clock="cpu", ratio=ratio, wall_ratio=exact(value))
    return Timings(
        latencies={"int8": (latency,)}, speed={"int8": (speed,)}, operators={"int8": operators}
    )


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


def test_profiles_that_exceed_the_latency_blame_nothing():
    (finding,) = explain_speed("int8", timings(0.5, 0.6, 0.7, CONV_INTEGER, cpu_ns=5e6))
    assert "because" not in finding.message


def environment(*isa):
    return Environment(
        cpu="", isa=isa, cores=2, system="", python="", packages={}, load=0.0, busy_ratio=1.0
    )


def test_cpu_without_vnni_is_warned_of():
    (finding,) = explain_target(environment("avx2"))
    assert finding.code == "OQ204"
    assert "saturate" in finding.message


def test_cpu_with_vnni_is_not():
    assert explain_target(environment("avx2", "avx512_vnni")) == ()


@pytest.mark.parametrize("met", [True, False])
def test_broken_limits_are_said(met):
    verdict = Verdict(
        kind="keep_fp32",
        alias="",
        sentence="",
        detail="",
        candidates=1,
        limits_met=met,
        broken_limits=() if met else ("max_drop", "max_size"),
    )
    found = explain_limits(verdict)
    assert [finding.code for finding in found] == ([] if met else ["OQ301"])
    assert all("--max-drop, --max-size" in finding.message for finding in found)
