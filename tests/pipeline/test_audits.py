"""What is said of a graph that does not run on integers, or runs on slow ones."""

import pytest

from onnxq.audits import Island, NotAudited, RuntimeAudit, SlowKernel
from onnxq.pipeline.audits import NOTABLE_TIME, explain_audit, main_cause


def island(reason="no kernel for Tanh", ns=30.0, fix="", macs=0):
    return Island(
        place="between", nodes=("t",), operators=("Tanh",), reason=reason, fix=fix, macs=macs, ns=ns
    )


def slow(reason="weights are uint8", ns=30.0):
    return SlowKernel(name="q", operator="QGemm", reason=reason, fix="Repair.", macs=1, ns=ns)


def audit(*islands, slow=()):
    return RuntimeAudit(
        kernels=9, macs=200, integer_macs=150, ns=100.0, islands=islands, slow=tuple(slow)
    )


def test_islands_are_told_with_the_reason_of_most_of_their_time():
    parts = (island("small", 10), island("large", 18, "Mend it."), island("large", 18, "Mend it."))
    (finding,) = explain_audit("int8", audit(*parts))
    assert (finding.code, finding.subject, finding.severity) == ("OQ202", "int8", "note")
    assert finding.message == (
        "75% of its multiply-adds run in integer kernels; 3 float islands beside them, 46% of its "
        "time: large."
    )
    assert finding.fix == "Mend it."
    assert finding.evidence == {"islands": 3, "time_ratio": 0.46, "integer_ratio": 0.75}


def test_slow_kernels_are_warned_of():
    (finding,) = explain_audit("int8", audit(slow=[slow(ns=40), slow(ns=40)]))
    assert (finding.code, finding.severity) == ("OQ203", "warning")
    assert finding.message == "80% of its time: weights are uint8."
    assert finding.evidence["kernels"] == 2


@pytest.mark.parametrize("of", [audit(), audit(island(ns=100 * NOTABLE_TIME - 1)), NotAudited()])
def test_what_takes_little_is_not_told(of):
    assert explain_audit("int8", of) == ()
    assert main_cause(of) == ""


def test_cause_of_slowness_is_the_larger_of_both():
    assert main_cause(audit(island(ns=20), slow=[slow(ns=30)])) == (
        "30% of its time is in slow integer kernels: weights are uint8"
    )
    assert main_cause(audit(island(ns=40), slow=[slow(ns=30)])) == (
        "40% of its time is in float operators beside integer ones: no kernel for Tanh"
    )
