from dataclasses import replace

import pytest

from onnxq.audits import Island, RuntimeAudit
from onnxq.estimates import Estimate, exact
from onnxq.measurements import Latency, OperatorTime, SpeedRatio
from onnxq.pipeline.explaining import (
    explain_foreign,
    explain_limits,
    explain_speed,
    explain_target,
    name_machine,
)
from onnxq.pipeline.timings import Timings
from onnxq.reports import Environment, Verdict
from onnxq.tunings import USUAL, Tuning


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


def audited(measured):
    island = Island(
        place="between", nodes=("t",), operators=("Tanh",), reason="no kernel for Tanh", fix="",
        macs=0, ns=9.0,
    )  # fmt: skip
    audit = RuntimeAudit(kernels=9, macs=1, integer_macs=1, ns=20.0, islands=(island,))
    return replace(measured, audits={"int8": audit})


def test_slower_because_of_what_the_audit_found():
    (finding,) = explain_speed("int8", audited(timings(0.5, 0.6, 0.7, CONV_INTEGER)))
    assert finding.message == (
        "0.60x the speed of fp32 at 1 thread because 45% of its time is in float operators beside "
        "integer ones: no kernel for Tanh."
    )


def test_audits_of_profiles_that_exceed_the_latency_blame_nothing():
    (finding,) = explain_speed("int8", audited(timings(0.5, 0.6, 0.7, CONV_INTEGER, cpu_ns=5e6)))
    assert "because" not in finding.message


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
    (finding,) = explain_target(environment("avx2"), Tuning(target="x86"))
    assert finding.code == "OQ204"
    assert "saturate" in finding.message


def test_figures_of_another_cpu_are_warned_of():
    (finding,) = explain_target(environment("avx2", "avx512_vnni"), Tuning(target="arm64"))
    assert finding.code == "OQ206"
    assert "made for arm64, and this CPU is x86-vnni" in finding.message
    assert "--target arm64" in finding.fix


def test_cpu_with_vnni_is_not():
    assert explain_target(environment("avx2", "avx512_vnni"), USUAL) == ()


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


def test_another_cpu_is_named_in_the_verdict_and_beside_models_that_were_not_measured():
    verdict = Verdict(
        kind="keep_fp32", alias="", sentence="Keep fp32.", detail="", candidates=0, limits_met=True
    )
    vnni = environment("avx512_vnni")
    assert name_machine(verdict, vnni, Tuning(target="x86-vnni")) == verdict
    named = name_machine(verdict, vnni, Tuning(target="arm64"))
    assert named.detail == (
        "All figures are of this CPU (x86-vnni), not of arm64, which will serve it."
    )
    assert explain_foreign(Tuning(target="x86"), "x86") == ()
    (finding,) = explain_foreign(Tuning(target="arm64"), "x86-vnni")
    assert finding.code == "OQ206"
    assert "Recipes: int8 activations, int8 weights." in finding.message
