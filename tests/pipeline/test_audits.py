"""What is said of a graph that does not run on integers, or runs on slow ones."""

import pytest

from onnxq.audits import Island, NotAudited, RuntimeAudit, SlowKernel
from onnxq.graph.float_causes import DYNAMIC, REPAIR
from onnxq.pipeline.audits import NOTABLE_TIME, advise_audit, explain_audit, main_cause


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


def _advised(fix, **options):
    return advise_audit(audit(island(fix=fix)), **options).islands[0].fix


def test_repair_is_offered_for_the_files_of_others_by_name():
    assert _advised(REPAIR, file="a b.onnx") == "Let onnxq rewrite it: onnxq repair 'a b.onnx'."
    assert not _advised(REPAIR)
    assert _advised("Keep it.") == "Keep it."


def test_dynamic_int8_is_offered_where_it_is_not_measured_beside():
    told = _advised(DYNAMIC, model="m.onnx")
    assert told == "Dynamic int8 may be faster: onnxq quantize m.onnx -r int8-dynamic."
    assert _advised(DYNAMIC) == DYNAMIC
    assert not _advised(DYNAMIC, has_dynamic=True)


def test_what_was_not_audited_has_no_fixes():
    assert advise_audit(NotAudited()) == NotAudited()
