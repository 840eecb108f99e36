"""Live models: exported where they live, unchanged, and proven elsewhere by what they computed."""

import copy
import os
import sys

import numpy as np
import pytest

from onnxq.conversion.converting import convert
from onnxq.conversion.live import export_live
from onnxq.conversion.live_proofs import load_proof
from onnxq.datasets.values import DataRequest
from onnxq.errors import ConversionError, ParityError, SourceError
from onnxq.events import tell_nobody
from onnxq.reports import Parity
from onnxq.runtime import open_predict
from onnxq.sources import parse_input
from onnxq.stages import ConvertRequest, NoDataRequest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 - after the skip

pytestmark = pytest.mark.torch


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 2)

    def forward(self, image):
        x = torch.relu(self.norm(self.conv(image))).mean((2, 3))
        return self.fc(self.drop(x))


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.frames = (frame for frame in range(3))

    def forward(self, x):
        return x


def exported(model, folder, *declared, data=None):
    folder.mkdir()
    return export_live(
        model,
        declared=tuple(parse_input(text) for text in declared),
        data=NoDataRequest() if data is None else DataRequest(spec=str(data)),
        seed=0,
        folder=folder,
    )


def converted(live, folder, data=None):
    folder.mkdir()
    request = ConvertRequest(
        source=live,
        declared=(),
        data=NoDataRequest() if data is None else DataRequest(spec=str(data)),
        check=True,
        seed=0,
        trusted_folders=(),
    )
    return convert(request, folder, tell_nobody)


def trained():
    """A module in the middle of its training: gradients, an optimizer's reach, a hook."""
    module = Net().train()
    module(torch.ones(4, 1, 6, 6)).sum().backward()
    return module


def test_a_module_is_exported_and_proven_elsewhere(tmp_path):
    live = exported(trained(), tmp_path / "live", "image:Nx1x6x6")
    assert (live.name, live.framework, live.findings) == ("Net", "torch", ())
    assert "dynamo" in live.exporter
    result = converted(live, tmp_path / "work")
    assert isinstance(result.parity, Parity)
    assert {probe.batch_rows for probe in result.parity.probes} == {1, 3}
    assert (result.framework, result.exporter) == ("torch", live.exporter)
    assert str(result.model.signature.inputs[0]) == "image float32 [N, 1, 6, 6]"


def test_the_callers_module_stays_as_it_is(tmp_path):
    module = trained()
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(module.state_dict())
    gradients = {name: p.grad.clone() for name, p in module.named_parameters()}
    pointers = {name: p.data_ptr() for name, p in module.named_parameters()}
    random, environment, path = torch.get_rng_state(), dict(os.environ), list(sys.path)
    exported(module, tmp_path / "live", "image:Nx1x6x6")
    assert module.training
    assert all(part.training for part in module.modules())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad
        assert torch.equal(parameter.grad, gradients[name])
        assert parameter.data_ptr() == pointers[name]
    assert len(module._forward_hooks) == 1  # noqa: SLF001 - there is no public way to them
    assert torch.equal(torch.get_rng_state(), random)
    assert (dict(os.environ), list(sys.path)) == (environment, path)


def test_rows_declare_the_inputs_and_prove_the_export(tmp_path):
    rows = np.random.default_rng(0).standard_normal((9, 1, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows, y=np.arange(9) % 2)
    live = exported(Net(), tmp_path / "live", data=tmp_path / "rows.npz")
    result = converted(live, tmp_path / "work", tmp_path / "rows.npz")
    assert {probe.inputs for probe in result.parity.probes} == {"rows", "negated", "scaled"}


def test_a_proof_plays_back_what_was_computed(tmp_path):
    module = Net().eval()
    live = exported(module, tmp_path / "live", "image:Nx1x6x6")
    proof = load_proof(tmp_path / "live" / "proof" / "proof.json")
    assert live.proof == str(tmp_path / "live" / "proof" / "proof.json")
    for probe in proof.probes:
        expected = module(torch.tensor(probe.inputs["image"])).detach().numpy()
        np.testing.assert_array_equal(proof.predict(probe.inputs)["output"], expected)


def test_a_wrong_export_is_found_elsewhere(tmp_path):
    live = exported(Net(), tmp_path / "live", "image:Nx1x6x6")
    other = Net()
    nn.init.ones_(other.fc.bias)
    wrong = exported(other, tmp_path / "other", "image:Nx1x6x6")
    (tmp_path / "live" / "live.onnx").write_bytes((tmp_path / "other" / "live.onnx").read_bytes())
    with pytest.raises(ParityError) as caught:
        converted(live, tmp_path / "work")
    assert caught.value.code == "OQ152"
    assert isinstance(converted(wrong, tmp_path / "again").parity, Parity)


def test_a_random_module_is_said_to_be_random(tmp_path):
    with pytest.raises(ParityError, match="random"):
        exported(Noisy(), tmp_path / "live", "x:Nx4")


def test_a_half_module_says_what_became_of_it(tmp_path):
    module = Net().bfloat16()
    live = exported(module, tmp_path / "live", "image:Nx1x6x6")
    assert [finding.code for finding in live.findings] == ["OQ158"]
    result = converted(live, tmp_path / "work")
    assert [finding.code for finding in result.findings] == ["OQ158"]
    assert "bfloat16" in result.parity.tolerance
    assert module.fc.weight.dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_are_looked_into(wrap, tmp_path):
    live = exported(wrap(Net().eval()), tmp_path / "live", "image:Nx1x6x6")
    assert live.name == "Net"
    x = np.ones((2, 1, 6, 6), np.float32)
    (found,) = open_predict(live.path)({"image": x}).values()
    expected = Net().eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_tensors_that_carry_gradients_can_be_copied(tmp_path):
    module = nn.utils.weight_norm(nn.Linear(4, 2))
    module(torch.ones(1, 4))
    exported(module, tmp_path / "live", "input:Nx4")


def test_what_cannot_be_copied_is_said(tmp_path):
    with pytest.raises(ConversionError, match="Locked cannot be copied") as caught:
        exported(Locked(), tmp_path / "live", "x:Nx4")
    assert "onnxq.run('nets.py:build'" in caught.value.hint


def test_inputs_that_nobody_knows_are_asked_for(tmp_path):
    with pytest.raises(SourceError, match=r"Net are not known: forward takes \(image\)"):
        exported(Net(), tmp_path / "live")


@pytest.mark.parametrize("value", [3, None, [1], np.ones(2)])
def test_what_is_no_model_is_said(value, tmp_path):
    with pytest.raises(SourceError, match="A model was expected, found") as caught:
        exported(value, tmp_path / "live")
    assert caught.value.code == "OQ102"


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
def test_a_keras_model_is_exported_and_stays_as_it_is(tmp_path):
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="scores")(hidden))
    model.layers[1].trainable = False
    before = [weight.copy() for weight in model.get_weights()]
    environment, path = dict(os.environ), list(sys.path)
    live = exported(model, tmp_path / "live")
    assert (dict(os.environ), list(sys.path)) == (environment, path)
    assert (live.name, live.framework) == ("Functional", "keras")
    for weight, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, other)
    assert [layer.trainable for layer in model.layers] == [True, False, True, True]
    result = converted(live, tmp_path / "work")
    assert isinstance(result.parity, Parity)
    assert result.framework == "keras"
    assert str(result.model.signature.outputs[0]) == "scores float32 [N, 2]"
