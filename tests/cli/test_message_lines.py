"""Messages on lines of a screen: words, names and commands stay whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.cli.message_lines import break_at_commas, message_lines
from onnxq.cli.presenting import error_text
from onnxq.cli.screen import Screen
from onnxq.errors import InferenceError

NAME = "somebodys/very-long-folder-of-models/with-many-hyphens/resnet18.onnx"
COMMAND = f"onnxq repair {NAME}"


@given(st.text(alphabet="ab- ", max_size=200), st.integers(min_value=1, max_value=60))
def test_words_are_kept_in_their_order(text, columns):
    lines = message_lines(text, columns, "  ")
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= columns or len(line.split()) == 1 or line == lines[0] for line in lines)


def test_a_command_has_a_line_of_its_own():
    assert message_lines(f"It may be mended:  {COMMAND}", 60, "  ") == (
        "  It may be mended:",
        f"    {COMMAND}",
    )
    assert message_lines("Do it:  onnxq doctor", 60, "  ") == ("  Do it:  onnxq doctor",)
    assert message_lines(f"  {COMMAND} and more that is long", 40) == (
        f"  {COMMAND} and more that is long",
    )


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_an_error_keeps_to_the_screen(columns):
    error = InferenceError(
        f"onnxruntime cannot load it: Node (/Add) {NAME} must be a scalar, it says, twice.",
        code="OQ173",
        hint=f"Check the file with onnx.checker, or export it again.\nOr mend it:  {COMMAND}",
    )
    lines = error_text(error, Screen(columns=columns)).splitlines()
    assert all(len(line) <= columns or NAME in line for line in lines)
    assert any(line.endswith(COMMAND) for line in lines)
    assert lines[0].startswith("error[OQ173]: onnxruntime")
    whole = error_text(error, Screen(columns=columns), wraps=False)
    assert len(whole.splitlines()) == 3
    assert whole.split() == " ".join(lines).split()


def test_an_empty_hint_is_no_line():
    error = InferenceError("It failed.", code="OQ173", hint="")
    assert error_text(error, Screen()) == "error[OQ173]: It failed.\n"


def test_options_are_broken_behind_commas():
    spec = "order=rgb,size=256,crop=224,scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
    lines = break_at_commas(f"preprocess {spec}", 80)
    assert all(len(line) <= 80 for line in lines)
    assert [line[-1] for line in lines[:-1]] == [","]
    assert "".join(line.strip() for line in lines) == f"preprocess {spec}"
    assert break_at_commas(f"preprocess {spec}", 100) == (f"preprocess {spec}",)
    assert break_at_commas("", 40) == ("",)
