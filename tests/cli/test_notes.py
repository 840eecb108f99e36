"""Each note is a because."""

import msgspec
import pytest
from sample_reports import DYNAMIC, FP32, INT8, INT8_MINMAX, SAMPLES, operators, report, speeds

from onnxq.cli.notes import drop_sentence, finding_text, note_marks, report_notes, speed_sentence
from onnxq.cli.operator_rows import family_of, operator_rows
from onnxq.findings import Finding
from onnxq.measurements import OperatorTime
from onnxq.reports import Limits


def texts(subject):
    return {note.subject: note.text for note in report_notes(subject)}


def test_notes_are_numbered_in_the_order_of_the_table():
    notes = report_notes(SAMPLES["every_state"]())
    numbered = [note for note in notes if note.mark.isdecimal()]
    assert [note.mark for note in numbered] == ["1", "2", "3", "4", "5", "6", "7"]
    assert note_marks(notes)["int8-a"] == "3"


def test_every_state_says_why():
    said = texts(SAMPLES["every_state"]())
    assert said["int8-a"].startswith("skipped: it needs rows")
    assert said["int8-b"].startswith("not applicable: no node")
    assert said["int8-c"].startswith("unusable, never recommended: its outputs are constant")
    assert said["static-uint8-int8-pertensor-minmax"].startswith("failed (OQ171): ")
    assert "or leave the recipe out." in said["static-uint8-int8-pertensor-minmax"]


def test_a_warning_comes_before_a_note_and_carries_its_code():
    notes = [note for note in report_notes(report()) if not note.mark.isdecimal()]
    assert [note.mark for note in notes] == ["!", "i"]
    assert notes[0].text.endswith("[OQ205]")


def test_a_finding_about_a_candidate_joins_its_note():
    finding = Finding(code="OQ402", subject="int8", message="it agrees little", fix="try minmax")
    text = texts(report(findings=(finding,)))["int8"]
    assert text.endswith("it agrees little. Fix: try minmax. [OQ402]")


def test_a_fast_candidate_needs_no_reason():
    assert not speed_sentence(INT8, FP32)


def test_a_slow_one_names_the_operators_whose_time_grew_most():
    text = speed_sentence(DYNAMIC, FP32)
    assert "91% of its time is in 20 nodes of ConvInteger (35.1 ms; 22.9 ms in fp32)" in text


def test_a_tie_says_so_with_its_interval():
    tie = msgspec.structs.replace(INT8, speed=speeds(1.0, 0.03))
    assert "a tie with fp32 (95% interval of the ratio 0.97 to 1.03)" in speed_sentence(tie, FP32)


def test_without_operator_times_no_reason_is_made_up():
    bare = msgspec.structs.replace(DYNAMIC, operators=())
    assert speed_sentence(bare, FP32) == "slower than fp32 here."


def test_what_a_provider_compiled_is_no_reason():
    part = OperatorTime(operator="OpenVINO-EP-subgraph", count=1, ns=5e7, share=1)
    compiled = msgspec.structs.replace(DYNAMIC, operators=(part,))
    assert speed_sentence(compiled, FP32) == "slower than fp32 here."


@pytest.mark.parametrize(
    ("variant", "limit", "said"),
    [
        (INT8, 0.01, ""),
        (INT8, 0.004, "crosses --max-drop 0.4 pp"),
        (INT8_MINMAX, 0.01, "is over --max-drop 1 pp"),
    ],
)
def test_a_drop_is_mentioned_where_it_matters(variant, limit, said):
    limits = Limits(max_drop=limit, max_drop_given=True)
    text = drop_sentence(variant.quality.accuracy, limits)
    assert said in text
    assert bool(text) == bool(said)


@pytest.mark.parametrize(
    ("operator", "family"),
    [
        ("QLinearConv", "Conv"),
        ("FusedConv", "Conv"),
        ("NhwcFusedConv", "Conv"),
        ("ConvInteger", "Conv"),
        ("QGemm", "MatMul"),
        ("DynamicQuantizeMatMul", "MatMul"),
        ("MatMul", "MatMul"),
        ("QLinearGlobalAveragePool", "GlobalAveragePool"),
        ("NhwcMaxPool", "MaxPool"),
        ("DequantizeLinear", "Quantize/Dequantize"),
        ("QuickGelu", "QuickGelu"),
        ("Q", "Q"),
    ],
)
def test_operators_of_an_optimized_graph_belong_to_a_float_operator(operator, family):
    assert family_of(operator) == family


def test_no_time_is_lost_when_operators_are_paired():
    rows = operator_rows(FP32.operators, INT8.operators, most=3)
    assert len(rows) == 3
    assert rows[-1].label == "other"
    assert sum(row.float_ns for row in rows) == pytest.approx(sum(t.ns for t in FP32.operators))
    assert sum(row.other_ns for row in rows) == pytest.approx(sum(t.ns for t in INT8.operators))


def test_the_label_names_both_operators_once():
    (row,) = operator_rows(operators(("Conv", 1, 2.0)), operators(("Conv", 1, 1.0)))
    assert row.label == "Conv"
    (row,) = operator_rows(operators(("FusedConv", 1, 2.0)), operators(("QLinearConv", 1, 1.0)))
    assert row.label == "FusedConv / QLinearConv"


def test_nodes_that_stay_float_for_one_reason_are_told_once():
    left = {"conv1": "no kernel", "conv2": "no kernel", "conv3": "no kernel", "head": "too small"}
    artefact = msgspec.structs.replace(INT8.artefact, left_float=left)
    text = texts(report(variants=(FP32, msgspec.structs.replace(INT8, artefact=artefact))))["int8"]
    assert "left in float: conv1 and 2 more (no kernel); head (too small)." in text


@pytest.mark.parametrize(
    ("fix", "ends"),
    [
        ("Measure for longer: --seconds 14", "--seconds 14 [OQ207]"),
        ("Measure for longer: --seconds 14.", "--seconds 14 [OQ207]"),
        ("Run it:  onnxq run m.onnx --data v.npz", "v.npz [OQ207]"),
        ("Run again on a quieter machine", "machine. [OQ207]"),
        ("--keep-float fc*: the user asked for it", "for it. [OQ207]"),
    ],
)
def test_no_stop_follows_what_can_be_pasted(fix, ends):
    found = Finding(code="OQ207", subject="timing", message="it is short", fix=fix)
    assert finding_text(found).endswith(ends)
