import re
from pathlib import Path

import pytest

from onnxq.codes import CODES, check_code
from onnxq.errors import ERRORS, OnnxqError

PACKAGE = Path(__file__).parents[1] / "onnxq"
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def test_every_registered_code_is_used():
    elsewhere = "".join(text for path, text in SOURCES.items() if path.name != "codes.py")
    unused = [code for code in CODES if code not in elsewhere]
    assert unused == []


def test_every_used_code_is_registered():
    used = {code for text in SOURCES.values() for code in re.findall(r"OQ\d{3}", text)}
    assert used <= set(CODES)


def test_a_meaning_is_a_sentence():
    assert all(meaning[0].isupper() and meaning.endswith(".") for meaning in CODES.values())


def test_unknown_code_is_a_bug():
    with pytest.raises(KeyError, match="OQ999"):
        check_code("OQ999")


@pytest.mark.parametrize("kind", ERRORS.values(), ids=lambda kind: kind.__name__)
def test_every_error_carries_code_hint_and_exit_code(kind):
    error = kind("it failed", code="OQ101", hint="do this")
    assert isinstance(error, OnnxqError)
    assert (error.code, error.hint, str(error)) == ("OQ101", "do this", "it failed")
    assert error.exit_code in {1, 2, 3, 130}
