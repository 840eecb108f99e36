"""What inspect --runtime shows, and the line that a report has of it."""

import msgspec
import pytest
from sample_inspections import AUDIT, INSPECTION, KERNELS
from sample_reports import shipping

from onnxq.audits import NotAudited, RuntimeAudit
from onnxq.cli.audit_words import count_text, integer_sentence, island_lines
from onnxq.cli.render import render_report
from onnxq.cli.render_inspection import render_inspection
from onnxq.cli.screen import Screen
from onnxq.reports import Measured


def drawn(columns=80, *, everything=False, **changes):
    found = msgspec.structs.replace(INSPECTION, audit=AUDIT, kernels=KERNELS, **changes)
    text = render_inspection(found, "m.onnx", Screen(columns=columns), everything=everything)
    assert max(map(len, text.split("\n"))) <= columns
    return text


def test_share_of_integers_and_what_stands_beside_them():
    assert integer_sentence(AUDIT) == (
        "57.5 % of 1.81 G multiply-adds in integer kernels; 4 float islands (60.0 % of the time); "
        "2 added nodes (2.0 % of the time); 1 slow integer kernel (10.0 % of the time)"
    )


def test_nothing_beside_them():
    clean = RuntimeAudit(kernels=3, macs=2000, integer_macs=2000, ns=1.0)
    assert integer_sentence(clean) == "100 % of 2 k multiply-adds in integer kernels"
    assert integer_sentence(RuntimeAudit(kernels=1, macs=0, integer_macs=0, ns=1.0)) == (
        "1 kernel; none multiplies"
    )


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (1234, "1.23 k"), (56_500_000, "56.5 M"), (10**10, "10 G")]
)
def test_counts(count, text):
    assert count_text(count) == text


def test_islands_that_are_alike_share_a_line():
    conv, tanh, again = island_lines(AUDIT)
    assert conv.what == "2 x Conv: 50.0 % of the time, 42.5 % of the multiply-adds"
    assert tanh.what == "Tanh, Mul, Add, Erf and 1 more, at the end: 8.0 % of the time"
    assert again.what == "requantization: 2.0 % of the time"


def test_reasons_and_fixes_stand_below():
    text = drawn(120)
    assert "       the activations of Conv are int8" in text
    assert "       -> Let onnxq rewrite it: onnxq repair FILE.\n" in text
    assert "Integer kernels that are slow on this CPU\n  QGemm: 10.0 % of the time" in text
    assert "Added by onnxruntime\n  2 x Transpose: 2.0 % of the time" in text
    assert "Kernels" not in text


def test_kernels_with_everything():
    text = drawn(120, everything=True)
    assert "QLinearConv     conv_token_1      integer             116 M  600.0  conv, relu" in text
    assert "conv, relu" in text


def test_narrow_screens():
    assert "What onnxruntime runs" in drawn(40, everything=True)


def test_differences_are_owned_up_to():
    changed = msgspec.structs.replace(AUDIT, unmatched=("a", "b", "c", "d"))
    text = render_inspection(
        msgspec.structs.replace(INSPECTION, audit=changed), "m.onnx", Screen(columns=120)
    )
    assert "graph and profile differ in 4 nodes (a, b, c)" in text


def test_why_not_audited():
    text = drawn()
    assert "What onnxruntime runs" in text
    silent = render_inspection(INSPECTION, "m.onnx", Screen(columns=80))
    assert "What onnxruntime runs" not in silent
    refused = msgspec.structs.replace(INSPECTION, audit=NotAudited(reason="It cannot be written."))
    assert "It cannot be written." in render_inspection(refused, "m.onnx", Screen(columns=80))


def test_a_report_has_a_line_of_it_below_the_operators():
    report = shipping()
    audited = tuple(
        msgspec.structs.replace(one, audit=AUDIT) if isinstance(one, Measured) else one
        for one in report.variants
    )
    plain, text = (
        render_report(msgspec.structs.replace(report, variants=rows), Screen(columns=120))
        for rows in (report.variants, audited)
    )
    assert f"int8: {integer_sentence(AUDIT)[:60]}" in text
    assert "fp32: " not in text  # the reference computes in float
    assert "multiply-adds" not in plain
