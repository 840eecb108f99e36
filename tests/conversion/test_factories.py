"""Factories: what is called, and what is refused in words."""

import sys
from types import SimpleNamespace

import pytest

from onnxq.conversion.factories import call_factory
from onnxq.conversion.frameworks import framework_of
from onnxq.errors import MissingDependencyError, SourceError
from onnxq.sources import Factory
from onnxq.user_code import importable_from

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the skip

pytestmark = pytest.mark.torch

NETS = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torch.nn.Linear(WIDTH, 3)
        self.bn = torch.nn.BatchNorm1d(3)
        self.drop = torch.nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.bn(self.features(x)))

def build():
    return Net()

def with_width(width, depth=1):
    return Net()

def failing():
    raise ValueError("no GPU here")

def leaving():
    raise SystemExit(3)

def number():
    return 3

def pair():
    return Net(), 3

def optimizer():
    return torch.optim.SGD(Net().parameters())

ready = Net()
LIMIT = 3
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets_of_test.py").write_text(NETS)
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    (tmp_path / "imports_missing.py").write_text("import no_such_package_here\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    (tmp_path / "wrong_syntax.py").write_text("def build(:\n")
    return tmp_path


def call(folder, module, function):
    folders = (str(folder),)
    with importable_from(folders), pytest.MonkeyPatch.context() as patch:
        for name in ("nets_of_test", "neighbour"):
            patch.delitem(sys.modules, name, raising=False)
        return call_factory(Factory(module, function), folders)


@pytest.mark.parametrize("module", ["nets_of_test", "nets_of_test.py"])
@pytest.mark.parametrize("function", ["build", "Net", "ready"])
def test_a_factory_is_called(module, function, nets):
    model = call(nets, module, function)
    assert isinstance(model, nn.Module)
    assert not list(nets.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("module", "function", "code", "words"),
    [
        ("nets_of_test", "biuld", "OQ105", ("no 'biuld'", "Did you mean build?")),
        ("nets_of_tset", "build", "OQ105", ("no Python module", "Did you mean 'nets_of_test'?")),
        ("nets_of_test.sub", "build", "OQ105", ("no Python module",)),
        ("none.py", "build", "OQ105", ("none.py does not exist",)),
        ("nets_of_test", "with_width", "OQ106", ("needs arguments: width.",)),
        ("nets_of_test", "failing", "OQ106", ("ValueError: no GPU here",)),
        ("nets_of_test", "leaving", "OQ106", ("SystemExit",)),
        ("nets_of_test", "number", "OQ106", ("returned an int", "FILE.py:build")),
        ("nets_of_test", "pair", "OQ106", ("returned a tuple (Net, int)",)),
        ("nets_of_test", "optimizer", "OQ106", ("returned a SGD", "or a Keras model")),
        ("nets_of_test", "LIMIT", "OQ106", ("expected a function",)),
        ("raises.py", "build", "OQ106", ("ZeroDivisionError",)),
        ("wrong_syntax.py", "build", "OQ106", ("SyntaxError",)),
    ],
)
def test_a_factory_that_cannot_be_used_says_why(module, function, code, words, nets):
    with pytest.raises(SourceError) as caught:
        call(nets, module, function)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


def test_a_package_that_the_user_needs_is_named(nets):
    with pytest.raises(MissingDependencyError) as caught:
        call(nets, "imports_missing.py", "build")
    assert caught.value.code == "OQ108"
    assert "pip install no_such_package_here" in caught.value.hint


def test_the_framework_of_a_model_is_told_without_importing_any(monkeypatch):
    assert framework_of(nn.Linear(2, 2)) == "torch"
    assert framework_of(nn.Linear) == "none"
    assert framework_of(3) == "none"

    class Model:
        __module__ = "tf_keras.src.engine.training"

    class KerasModel(nn.Module):
        """Models of Keras on PyTorch are modules too."""

    assert framework_of(Model()) == "keras2"
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(Model=KerasModel))
    assert framework_of(KerasModel()) == "keras"
    monkeypatch.delitem(sys.modules, "torch")
    assert framework_of(nn.Linear(2, 2)) == "none"
