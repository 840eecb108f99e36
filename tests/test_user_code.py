"""The user's code, by name: what is imported and called, and how its failures are said."""

import functools
import os
import pwd
import sys
from pathlib import Path

import pytest

from onnxq.errors import DatasetError, MissingDependencyError, SourceError
from onnxq.user_code import (
    UserCode,
    call_named,
    describe_failure,
    failures_said,
    import_named,
    importable_from,
    working_in,
)

CODE = """
import json
from neighbour_of_test import WIDTH

def build(): return WIDTH

def needs(width, depth=1): return width

def fails():
    return json.loads("{")

def leaves(): raise SystemExit(3)

def lacks():
    import no_such_package_here.part

LIMIT = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "code_of_test.py").write_text(CODE)
    (tmp_path / "neighbour_of_test.py").write_text("WIDTH = 4\n")
    (tmp_path / "raises_of_test.py").write_text("x = 1\n1 / 0\n")
    (tmp_path / "syntax_of_test.py").write_text("def build(:\n")
    for name in ("code_of_test", "neighbour_of_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with importable_from((str(tmp_path),)):
        yield tmp_path


def named(module, name, error=DatasetError):
    given = f"{module}:{name}"
    return UserCode(module, name, given, wanted="a function of rows", error=error, hint="do this")


def call(folder, module, name, error=DatasetError):
    code = named(module, name, error)
    return call_named(import_named(code, (str(folder),)), code)


@pytest.mark.parametrize("module", ["code_of_test", "code_of_test.py"])
def test_a_function_is_imported_with_its_neighbours_and_called(folder, module):
    assert call(folder, module, "build") == 4
    assert not list(folder.rglob("__pycache__"))


def test_the_import_path_is_put_back(tmp_path):
    before = list(sys.path)
    with importable_from((str(tmp_path), str(tmp_path))):
        assert sys.path[0] == str(tmp_path)
    assert sys.path == before


def test_code_works_where_the_user_works(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/private")
    monkeypatch.setenv("KERAS_HOME", "/private")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    before = Path.cwd()
    with working_in(str(tmp_path)):
        assert Path.cwd() == tmp_path
        assert os.environ["HOME"] == pwd.getpwuid(os.getuid()).pw_dir
        assert "KERAS_HOME" not in os.environ
    assert Path.cwd() == before
    assert (os.environ["HOME"], os.environ["KERAS_HOME"]) == ("/private", "/private")
    assert "XDG_CACHE_HOME" not in os.environ
    with working_in(""):
        assert (Path.cwd(), os.environ["HOME"]) == (before, "/private")


@pytest.mark.parametrize(
    ("module", "name", "code", "says"),
    [
        ("code_of_test", "biuld", "OQ105", ("has no 'biuld'", "Did you mean build?")),
        ("code_of_tset", "build", "OQ105", ("no Python module", "Did you mean 'code_of_test'?")),
        ("code_of_test.part", "build", "OQ105", ("no Python module",)),
        ("none.py", "build", "OQ105", ("none.py does not exist",)),
        ("code_of_test", "needs", "OQ106", ("needs arguments: width.", "do this")),
        ("code_of_test", "fails", "OQ106", ("JSONDecodeError", "(code_of_test.py, line 10)")),
        ("code_of_test", "leaves", "OQ106", ("failed: SystemExit: 3",)),
        ("code_of_test", "LIMIT", "OQ106", ("is an int, expected a function of rows",)),
        ("raises_of_test.py", "build", "OQ106", ("division by zero (raises_of_test.py, line 2)",)),
        ("syntax_of_test.py", "build", "OQ106", ("SyntaxError", "line 1")),
    ],
)
@pytest.mark.parametrize("error", [DatasetError, SourceError])
def test_what_cannot_be_used_says_why(folder, module, name, code, says, error):
    with pytest.raises(error) as caught:
        call(folder, module, name, error)
    assert caught.value.code == code
    for words in says:
        assert words in f"{caught.value.message} {caught.value.hint}"


def test_a_package_that_is_not_installed_is_named(folder):
    with pytest.raises(MissingDependencyError) as caught:
        call(folder, "code_of_test", "lacks")
    assert (caught.value.code, caught.value.hint) == (
        "OQ108",
        "Install it beside onnxq:  pip install no_such_package_here",
    )


def test_errors_of_onnxq_pass():
    message = "mine"
    with (
        pytest.raises(SourceError, match="mine"),
        failures_said(named("a", "b")),
    ):
        raise SourceError(message, code="OQ101", hint="x")


def test_a_failure_without_a_place_of_the_users_has_none():
    assert describe_failure(ValueError("no")) == "ValueError: no"
    assert describe_failure(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_what_has_no_signature_is_called():
    code = named("functools", "partial")
    assert call_named(functools.partial(int, "7"), code) == 7
