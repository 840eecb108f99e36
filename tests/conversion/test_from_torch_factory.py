"""Factories and their weights: what is loaded, and what is refused in words."""

import pickle
import sys

import pytest

from onnxq.errors import MissingDependencyError, SourceError
from onnxq.sources import Factory, WeightsFile

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the skip

from onnxq.conversion.from_torch_factory import (  # noqa: E402 - after the skip
    importable_from,
    load_module,
)
from onnxq.conversion.from_torch_weights import strip_wrappers  # noqa: E402 - after the skip

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

def scripted():
    return torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))

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


def load(folder, module, function, weights=None):
    factory = Factory(module, function)
    if weights is not None:
        factory = Factory(module, function, WeightsFile(str(weights)))
    folders = (str(folder),)
    with importable_from(folders), pytest.MonkeyPatch.context() as patch:
        for name in ("nets_of_test", "neighbour"):
            patch.delitem(sys.modules, name, raising=False)
        return load_module(factory, folders)


@pytest.mark.parametrize("module", ["nets_of_test", "nets_of_test.py"])
@pytest.mark.parametrize("function", ["build", "Net", "ready"])
def test_a_factory_is_called(module, function, nets):
    loaded, findings = load(nets, module, function)
    assert isinstance(loaded, nn.Module)
    assert not loaded.training
    assert not list(nets.rglob("__pycache__"))
    assert findings == ()


@pytest.mark.parametrize(
    ("module", "function", "code", "words"),
    [
        ("nets_of_test", "biuld", "OQ105", ("no 'biuld'", "Did you mean build?")),
        ("nets_of_tset", "build", "OQ105", ("no Python module", "Did you mean 'nets_of_test'?")),
        ("nets_of_test.sub", "build", "OQ105", ("no Python module",)),
        ("none.py", "build", "OQ101", ("none.py does not exist",)),
        ("nets_of_test", "with_width", "OQ106", ("needs arguments: width.",)),
        ("nets_of_test", "failing", "OQ106", ("ValueError: no GPU here",)),
        ("nets_of_test", "leaving", "OQ106", ("SystemExit",)),
        ("nets_of_test", "number", "OQ106", ("returned an int",)),
        ("nets_of_test", "LIMIT", "OQ106", ("expected a function",)),
        ("nets_of_test", "scripted", "OQ111", ("TorchScript",)),
        ("raises.py", "build", "OQ106", ("ZeroDivisionError",)),
        ("wrong_syntax.py", "build", "OQ106", ("SyntaxError",)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, in "scripted"
def test_a_factory_that_cannot_be_used_says_why(module, function, code, words, nets):
    with pytest.raises(SourceError) as caught:
        load(nets, module, function)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


def test_a_package_that_the_user_needs_is_named(nets):
    with pytest.raises(MissingDependencyError) as caught:
        load(nets, "imports_missing.py", "build")
    assert caught.value.code == "OQ108"
    assert "pip install no_such_package_here" in caught.value.hint


# weights


def trained():
    torch.manual_seed(1)
    return {
        "features.weight": torch.randn(3, 4),
        "features.bias": torch.randn(3),
        "bn.weight": torch.rand(3),
        "bn.bias": torch.rand(3),
        "bn.running_mean": torch.rand(3),
        "bn.running_var": torch.rand(3),
        "bn.num_batches_tracked": torch.tensor(7),
    }


def without(*names):
    return {name: tensor for name, tensor in trained().items() if name not in names}


def wrapped(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in trained().items()}


@pytest.mark.parametrize(
    ("saved", "codes"),
    [
        (trained(), []),
        ({"state_dict": trained(), "epoch": 3, "best": torch.tensor(0.5)}, []),
        ({"model_state_dict": trained(), "optimizer": {"lr": 0.1}}, []),
        ({"model": {"net": trained()}}, []),
        ({"ema": trained(), "model": trained()}, ["OQ157"]),
        (wrapped("module."), []),
        (wrapped("_orig_mod."), []),
        ({"state_dict": wrapped("module._orig_mod.")}, []),
        (without("bn.num_batches_tracked"), []),
    ],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_are_found_and_loaded(saved, codes, is_zip, nets):
    file = nets / "weights.pt"
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    module, findings = load(nets, "nets_of_test", "build", file)
    torch.testing.assert_close(module.features.weight, trained()["features.weight"])
    assert [finding.code for finding in findings] == codes


def renamed():
    return {name.replace("features", "feature"): t for name, t in trained().items()}


class Custom:
    pass


@pytest.mark.parametrize(
    ("saved", "code", "words"),
    [
        (without("bn.weight"), "OQ107", ("missing 1 of 7: bn.weight",)),
        (trained() | {"fc.bias": torch.ones(2)}, "OQ107", ("unexpected 1 of 8: fc.bias",)),
        (renamed(), "OQ107", ("missing 2 of 7", "feature.weight -> features.weight")),
        (
            trained() | {"features.bias": torch.ones(5)},
            "OQ107",
            ("1 of 7 shapes differ", "features.bias: file [5], module [3]"),
        ),
        ({"epoch": 3}, "OQ107", ("no weights", "epoch")),
        ([1, 2], "OQ107", ("a list",)),
        ({"w": Custom()}, "OQ109", ("would run code", "Custom", "state_dict()")),
    ],
)
def test_weights_that_do_not_fit_say_why(saved, code, words, nets):
    file = nets / "weights.pt"
    torch.save(saved, file)
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("cut", [40, 700])
def test_a_truncated_checkpoint_is_said(cut, nets):
    file = nets / "weights.pt"
    torch.save(trained(), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == "OQ104"


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_checkpoint_does_not_run(is_zip, nets):
    file = nets / "weights.pt"
    saved = {"features.weight": Payload()}
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == "OQ109"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_a_plain_pickle_is_not_a_checkpoint(nets):
    file = nets / "weights.pt"
    file.write_bytes(pickle.dumps({"w": Payload()}))
    with pytest.raises(SourceError):
        load(nets, "nets_of_test", "build", file)


def test_a_modules_own_prefix_stays():
    weights = {"module.weight": torch.ones(1)}
    assert strip_wrappers(weights, frozenset({"module.weight"})) == weights
    assert list(strip_wrappers(weights, frozenset({"weight"}))) == ["weight"]
