"""Factories of either framework, from the call to the proof."""

import sys

import numpy as np
import pytest

import onnxq
from onnxq.conversion.converting import convert
from onnxq.errors import MissingDependencyError, OnnxqError, SourceError
from onnxq.events import tell_nobody
from onnxq.reports import Parity
from onnxq.sources import Factory, OwnWeights, WeightsFile, parse_input
from onnxq.stages import ConvertRequest, NoDataRequest

TORCH = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.fc(x)

def scripted():
    return torch.jit.script(Net())

def program():
    free = ({0: torch.export.Dim("rows")},)
    return torch.export.export(Net().eval(), (torch.ones(2, 4),), dynamic_shapes=free)
"""
KERAS = """
import keras

def build():
    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="scores")])
"""


def converted(folder, function, weights="", *declared):
    module, _, name = function.partition(":")
    (folder / "work").mkdir()
    source = Factory(
        str(folder / module), name, WeightsFile(str(weights)) if weights else OwnWeights()
    )
    request = ConvertRequest(
        source=source,
        declared=tuple(parse_input(text) for text in declared),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(str(folder),),
    )
    return convert(request, folder / "work", tell_nobody)


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "torch_nets.py").write_text(TORCH)
    (tmp_path / "keras_nets.py").write_text(KERAS)
    (tmp_path / "imports_missing.py").write_text("import no_such_package_here\n")
    return tmp_path


@pytest.mark.torch
def test_a_module_with_safetensors(nets):
    pytest.importorskip("torch")
    header = (
        b'{"fc.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},'
        b'"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[32,40]}}'
    )
    values = np.arange(10, dtype="<f4").tobytes()
    file = nets / "w.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + values)
    result = converted(nets, "torch_nets.py:Net", file, "x:Nx4")
    assert result.framework == "torch"
    assert isinstance(result.parity, Parity)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit
@pytest.mark.parametrize(
    ("name", "exporter"), [("scripted", "TorchScript"), ("program", "program")]
)
def test_what_torch_made_of_a_module_before(name, exporter, nets):
    pytest.importorskip("torch")
    result = converted(nets, f"torch_nets.py:{name}", "", "x:Nx4")
    assert exporter in result.exporter
    assert str(result.model.signature.inputs[0]) == "x float32 [N, 4]"


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
def test_a_keras_model_with_weights(nets):
    keras = pytest.importorskip("keras")
    scores = keras.layers.Dense(2, name="scores")
    model = keras.Sequential([keras.Input((4,), name="x"), scores])
    scores.set_weights([np.full((4, 2), 2, np.float32), np.ones(2, np.float32)])
    model.save_weights(nets / "m.weights.h5")
    result = converted(nets, "keras_nets.py:build", nets / "m.weights.h5")
    assert result.framework == "keras"
    assert isinstance(result.parity, Parity)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("function", "content", "words"),
    [
        ("torch_nets.py:Net", b"\x89HDF\r\n\x1a\n" + bytes(64), ("makes a PyTorch module", "HDF5")),
        ("keras_nets.py:build", b"\x02\0\0\0\0\0\0\0{}", ("makes a Keras model", "safetensors")),
    ],
)
def test_weights_of_another_framework_are_refused(function, content, words, nets):
    pytest.importorskip("keras" if "keras" in function else "torch")
    (nets / "weights").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        converted(nets, function, nets / "weights", "x:Nx4")
    assert caught.value.code == "OQ107"
    for word in words:
        assert word in caught.value.message


def test_a_program_takes_no_weights(nets):
    torch = pytest.importorskip("torch")
    torch.save({"fc.bias": torch.ones(2)}, nets / "w.pt")
    with pytest.raises(SourceError, match="own weights"):
        converted(nets, "torch_nets.py:program", nets / "w.pt")


@pytest.mark.parametrize(
    ("function", "package", "hint"),
    [
        ("torch_nets.py:Net", "torch", "onnxq[torch]"),
        ("keras_nets.py:build", "keras", "onnxq[keras]"),
        ("imports_missing.py:build", "no_such_package_here", "pip install no_such_package_here"),
    ],
)
def test_a_package_that_is_not_installed_is_named(function, package, hint, nets, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        converted(nets, function)
    assert caught.value.code == "OQ108"
    assert hint in caught.value.hint


@pytest.mark.torch
def test_inputs_that_nobody_declared_are_asked_for(nets):
    pytest.importorskip("torch")
    with pytest.raises(OnnxqError) as caught:
        converted(nets, "torch_nets.py:Net")
    assert caught.value.code == "OQ112"
    assert "--input x:N" in caught.value.hint


def test_a_factory_finds_files_by_relative_paths(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "w.pt")
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def build():\n"
        "    net = torch.nn.Linear(4, 2)\n"
        "    net.load_state_dict(torch.load('w.pt'))\n"
        "    return net\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    done = onnxq.convert("nets.py:build", input=("x:Nx4",), out="out.onnx")
    assert done.source.framework == "torch"
