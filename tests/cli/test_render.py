"""The report on every screen: nothing wraps that must not, nothing is eaten, nothing crashes."""

import io
import re

import msgspec
import pytest
from rich.console import Console
from rich.text import Text
from sample_inspections import INSPECTION
from sample_reports import (
    DATA,
    DYNAMIC,
    FP32,
    INT8,
    SAMPLES,
    measured,
    report,
    shipping,
    speeds,
    without_labels,
)

from onnxq.cli.charset import text_columns
from onnxq.cli.render import render_report
from onnxq.cli.render_inspection import render_inspection
from onnxq.cli.render_parts import draw, make_console, words
from onnxq.cli.report_words import runtimes_text
from onnxq.cli.screen import Screen
from onnxq.findings import Finding

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def plain(text):
    return ESCAPE.sub("", text)


def table_lines(text):
    """Return the lines of the table: from the rule below its titles to the legend or a gap."""
    lines = plain(text).splitlines()
    top = next(n for n, line in enumerate(lines) if line.startswith(("──", "--")))
    end = next(n for n in range(top, len(lines)) if not lines[n])
    return lines[top + 1 : end]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_longer_than_the_screen(sample, columns, ascii_only, color):
    screen = Screen(columns=columns, ascii_only=ascii_only, color=color)
    text = render_report(SAMPLES[sample](), screen, out="onnxq-out", files=("a",))
    assert max(map(text_columns, plain(text).splitlines())) <= columns


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_no_row_wraps(sample, columns):
    subject = SAMPLES[sample]()
    rows = table_lines(render_report(subject, Screen(columns=columns)))
    firsts = [line.split()[0] for line in rows][: len(subject.variants)]
    for shown, variant in zip(firsts, subject.variants, strict=True):
        head, _, tail = shown.partition("…")
        assert variant.alias.startswith(head)
        assert variant.alias.endswith(tail)


@pytest.mark.parametrize("sample", SAMPLES)
def test_colour_says_nothing_that_the_text_does_not(sample):
    subject = SAMPLES[sample]()
    coloured = render_report(subject, Screen(color=True))
    lines = [line.rstrip() for line in plain(coloured).splitlines()]
    assert lines == render_report(subject, Screen()).splitlines()
    assert "\x1b" in coloured


def test_wider_screens_show_more_columns():
    titles = []
    for columns in (80, 100, 120):
        text = render_report(shipping(), Screen(columns=columns))
        lines = text.splitlines()
        titles.append(next(line for line in lines if line.startswith("recipe")).split())
    assert len(titles[0]) < len(titles[1]) < len(titles[2])


def test_what_does_not_fit_is_said_below_the_table():
    narrow = render_report(shipping(), Screen(columns=80))
    wide = render_report(shipping(), Screen(columns=120))
    assert "speed at 2 threads wall: int8 2.08\u00d7 ±0.08" in narrow
    assert "2 threads wall" in wide
    assert "speed at 2 threads" not in wide


def test_speed_is_labelled_with_threads_and_clock():
    text = render_report(shipping(), Screen(columns=120))
    assert "1 thread CPU" in text
    assert "2 threads wall" in text


def test_a_tie_is_marked_and_has_no_colour():
    tie = measured("int8", "x", 10, 24.0, INT8.quality, speed=speeds(1.01, 0.02))
    text = render_report(report(variants=(FP32, tie)), Screen(color=True, columns=120))
    line = next(line for line in text.splitlines() if line.startswith("int8 "))
    assert plain(line).split()[-2] == "="
    assert "\x1b[32m" not in line
    assert "★" not in line


def test_without_labels_the_word_accuracy_does_not_appear():
    for columns in (80, 120):
        text = render_report(without_labels(), Screen(columns=columns))
        assert "accuracy" not in text.lower()
        assert "top-1 %" in text


def test_what_was_not_measured_is_a_dash():
    rows = table_lines(render_report(SAMPLES["every_state"](), Screen(columns=120)))
    (skipped,) = [line for line in rows if "skipped" in line]
    assert skipped.split()[1:3] == ["-", "-"]


def test_a_model_of_foreign_operators_is_not_said_to_load():
    found = msgspec.structs.replace(INSPECTION, min_runtime="", foreign_domains=("com.acme",))
    drawn = plain(render_inspection(found, "m.onnx", Screen(columns=100)))
    assert "uses operators of com.acme, which onnxruntime does not have" in drawn
    assert "loads in onnxruntime" not in drawn


def test_a_candidate_that_was_not_timed_has_no_speed():
    text = render_report(SAMPLES["interrupted"](), Screen(columns=120))
    assert "speed" not in text
    assert "Wrote nothing." in text


def test_a_slow_candidate_says_because():
    text = " ".join(render_report(report(variants=(FP32, DYNAMIC)), Screen(columns=120)).split())
    assert "slower than fp32 here: 91% of its time is in 20 nodes of ConvInteger" in text
    assert "QLinearConv instead" in text


def test_a_finding_about_the_speed_replaces_our_own_words():
    finding = Finding(code="OQ201", subject="int8-dynamic", message="it is slow because of X")
    subject = report(variants=(FP32, DYNAMIC), findings=(finding,))
    text = render_report(subject, Screen(columns=120))
    assert "it is slow because of X. [OQ201]" in text
    assert "slower than fp32 here" not in text


# The six traps of rich.


@pytest.mark.parametrize("name", ["stages[bold]x", "a[/b]", "w[i]", ":smile:!", "[link=x]y[/link]"])
def test_markup_in_names_is_text(name):
    finding = Finding(code="OQ128", subject=name, message=f"{name} was cast", fix=name)
    text = render_report(report(findings=(finding,)), Screen(columns=120))
    assert f"{name} was cast. Fix: {name}" in text


@pytest.mark.parametrize("term", ["dumb", "unknown", "xterm-256color", ""])
def test_a_dumb_terminal_gets_the_width_it_has(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    expected = render_report(shipping(), Screen(columns=120, color=True))
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert expected == render_report(shipping(), Screen(columns=120, color=True))
    assert max(map(len, plain(expected).splitlines())) > 100


def test_rich_clamps_dumb_terminals_unless_it_is_told_a_height(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = {"file": io.StringIO(), "width": 120, "force_terminal": True}
    assert Console(**terminal).width == 80, "rich mended this: make_console needs no height"
    assert make_console(Screen(columns=120, color=True), io.StringIO()).width == 120


def test_names_that_ascii_cannot_hold_become_escapes():
    finding = Finding(code="OQ128", subject="Schicht_\u00fc", message="\u6a21\u578b \u00d7 2")
    text = render_report(report(findings=(finding,)), Screen(ascii_only=True))
    assert "Schicht_\\xfc" in text
    assert "\\u6a21\\u578b x 2" in text


def test_names_cannot_steer_the_terminal():
    name = "a\x1b[2Jb\x07\u202ec\rd"
    finding = Finding(code="OQ128", subject=name, message=name)
    variant = msgspec.structs.replace(INT8, alias=name)
    text = render_report(report((FP32, variant), findings=(finding,)), Screen(columns=120))
    assert not set("\x1b\x07\u202e\r") & set(text)
    assert "\\x1b[2Jb\\x07\\u202ec\\rd" in text


def test_a_name_with_a_line_feed_stays_on_its_line():
    variant = msgspec.structs.replace(INT8, alias="a\nb")
    rows = table_lines(render_report(report((FP32, variant)), Screen(columns=120)))
    assert any(line.startswith("a\\nb") for line in rows)


def test_numbers_in_text_are_not_highlighted():
    text = draw(Screen(color=True), [words(Screen(), "12 rows at 3.5 ms in /tmp/x")])
    assert text == "12 rows at 3.5 ms in /tmp/x\n"


def test_wide_characters_count_twice():
    variant = msgspec.structs.replace(INT8, alias="\u6a21\u578b")
    text = render_report(report((FP32, variant)), Screen())
    lines = table_lines(text)
    assert text_columns(lines[0].split("46.8")[0]) == text_columns(lines[1].split("11.8")[0])
    assert max(map(text_columns, text.splitlines())) <= 80


def test_the_preprocessing_can_be_pasted():
    text = render_report(shipping(), Screen(columns=100))
    assert f"preprocess {DATA.preprocess}" in text


def test_text_is_the_only_thing_that_rich_is_given(monkeypatch):
    """A str would be parsed for markup."""
    seen = []
    real = Console.print

    def spy(self, *things, **options):
        seen.extend(things)
        return real(self, *things, **options)

    monkeypatch.setattr(Console, "print", spy)
    render_report(shipping(), Screen())
    assert seen
    assert not any(isinstance(thing, str) for thing in seen)
    assert any(isinstance(thing, Text) for thing in seen)


def test_models_that_need_a_later_runtime_are_named():
    assert runtimes_text({"fp32": "1.17", "int8": "1.17"}) == (
        "The models need onnxruntime 1.17 or later."
    )
    assert runtimes_text({"int16": "1.18", "fp32": "1.9", "given": "", "int8": "1.9"}) == (
        "The models need onnxruntime 1.9 or later; int16 1.18."
    )
    assert runtimes_text({"given": ""}) == ""
