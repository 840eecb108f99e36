"""What is found out about a stream, and which characters it gets."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.cli.charset import can_show, crop, one_line, printable, text_columns, to_ascii
from onnxq.cli.screen import Screen, has_width, read_screen


class Stream(io.TextIOWrapper):
    def __init__(self, *, encoding="utf-8", terminal=False):
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def fileno(self):
        raise OSError


@pytest.mark.parametrize(
    ("environ", "terminal", "columns"),
    [
        ({}, False, 80),
        ({"CI": "true"}, False, 120),
        ({"COLUMNS": "100"}, False, 100),
        ({"COLUMNS": "100", "CI": "1"}, False, 100),
        ({"COLUMNS": "5"}, False, 40),
        ({"COLUMNS": "900"}, True, 120),
        ({"COLUMNS": "0"}, False, 80),
        ({"COLUMNS": "wide"}, False, 80),
        ({"COLUMNS": "9" * 5000}, False, 80),
        ({"TERM": "dumb", "COLUMNS": "110"}, True, 110),
    ],
)
def test_columns(environ, terminal, columns):
    assert read_screen(Stream(terminal=terminal), "auto", environ).columns == columns


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "color"),
    [
        ("auto", {}, False, False),
        ("auto", {}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"CI": "true"}, True, True),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_color(choice, environ, terminal, color):
    assert read_screen(Stream(terminal=terminal), choice, environ).color == color


@pytest.mark.parametrize(
    ("encoding", "ascii_only"),
    [("utf-8", False), ("ascii", True), ("latin-1", True), ("cp437", True), ("utf-16", False)],
)
def test_the_character_set_follows_the_encoding(encoding, ascii_only):
    assert read_screen(Stream(encoding=encoding), "auto", {}).ascii_only == ascii_only
    assert can_show(encoding) != ascii_only


def test_an_unknown_encoding_gets_ascii():
    assert not can_show("no-such-encoding")


@given(st.text())
def test_nothing_that_steers_a_terminal_comes_through(text):
    shown = printable(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not set("\x7f\x9b\u202e\u2066") & set(shown)
    shown.encode("utf-8")
    assert "\n" not in one_line(text)


@given(st.text())
def test_ascii_is_ascii(text):
    assert to_ascii(text).isascii()
    assert Screen(ascii_only=True).spell(text).isascii()


def test_what_the_report_is_drawn_with_is_translated_by_look():
    assert to_ascii("2.0\u00d7 ±0.1 \u2212 Δ ★ \u2026") == "2.0x +-0.1 - diff * ..."


@given(st.text(), st.integers(min_value=1, max_value=30))
def test_cropped_text_fits(text, columns):
    assert text_columns(crop(text, columns, "~")) <= max(columns, 1)


def test_the_ends_of_cropped_text_stay():
    assert crop("static-uint8-int8-perchannel-mse", 13, "~") == "static~el-mse"
    assert crop("short", 5, "~") == "short"


@pytest.mark.parametrize(
    ("environ", "terminal", "expected"),
    [
        ({}, False, False),
        ({"CI": "1"}, False, False),
        ({"COLUMNS": "wide"}, False, False),
        ({"COLUMNS": "60"}, False, True),
        ({}, True, True),
    ],
)
def test_who_breaks_long_lines(environ, terminal, expected):
    assert has_width(Stream(terminal=terminal), environ) == expected
