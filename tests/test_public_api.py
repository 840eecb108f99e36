"""The public face: exactly these names, loaded when they are asked for."""

import importlib.metadata
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import onnxq
from onnxq import errors, verbs

NAMES = """
    Built Calibration CalibrationReader Conversion ConversionError DatasetError Doctor Estimate
    Event Failed Finding InferenceError InspectResult Interrupted LimitError Measured
    MissingDependencyError ModelLoadError NotApplicable NotProfiled OnnxqError OutputError
    ParityError Plan Profile Profiled Progressed Quantization QuantizationError RecipeError
    RecipeFacts Repair Report RewriteFacts Skipped SourceError StageDone StageError StageStarted
    StrictError Tried Unavailable Unusable UsageError Verdict __version__ calibrate convert doctor
    inspect merge plan profile quantize read_report recipes repair rewrites run serving_snippet
"""


def test_the_names_are_these():
    assert sorted(onnxq.__all__) == sorted(NAMES.split())
    assert dir(onnxq) == sorted(onnxq.__all__)


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_loads_and_stays(name):
    value = getattr(onnxq, name)
    assert getattr(onnxq, name) is value


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = onnxq.quantise


def test_type_checkers_see_the_names_that_are_loaded():
    source = Path(inspect.getfile(onnxq)).read_text(encoding="utf-8")
    imported = set()
    pattern = re.compile(r"^    from (onnxq\S*) import (\([^)]*\)|[^\n(]+)$", re.MULTILINE)
    for found in pattern.finditer(source):
        imported |= {(found[1], name) for name in re.findall(r"\w+", found[2])}
    homes = {(home, name) for name, home in onnxq._HOME_OF.items()}  # noqa: SLF001 - the subject
    assert imported == homes
    assert {name for _, name in homes} == set(onnxq.__all__) - {"__version__"}


def test_the_whole_error_tree_is_public():
    assert set(errors.ERRORS) | {"OnnxqError"} <= set(onnxq.__all__)
    for name, kind in errors.ERRORS.items():
        assert getattr(onnxq, name) is kind
        assert issubclass(kind, onnxq.OnnxqError)


def test_the_version_is_the_installed_one():
    assert onnxq.__version__ == importlib.metadata.version("onnxq")


@pytest.mark.parametrize(
    "name", ["convert", "doctor", "inspect", "plan", "profile", "quantize", "recipes", "run"]
)
def test_the_verbs_are_documented_and_typed(name):
    verb = getattr(onnxq, name)
    assert verb is getattr(verbs, name)
    assert "Args:" in verb.__doc__
    assert "Returns:" in verb.__doc__
    hints = typing.get_type_hints(verb)
    assert set(hints) == {*inspect.signature(verb).parameters, "return"}
    for parameter in inspect.signature(verb).parameters:
        assert f"    {parameter}: " in verb.__doc__, parameter


def test_only_the_subject_of_a_verb_is_positional():
    for name in ("run", "inspect", "doctor"):
        parameters = list(inspect.signature(getattr(onnxq, name)).parameters.values())
        assert parameters[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters[1:])


def test_asking_for_an_error_loads_no_framework():
    code = "import onnxq, sys; onnxq.OnnxqError; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_library_prints_nothing_and_sets_no_logger_up():
    code = (
        "import onnxq, logging; onnxq.doctor();"
        "assert not logging.root.handlers, logging.root.handlers"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
