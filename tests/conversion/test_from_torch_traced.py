"""TorchScript and modules that torch.ao quantized: what is traced, and what is refused."""

import numpy as np
import pytest

from onnxq.conversion.converting import convert
from onnxq.conversion.factories import call_factory
from onnxq.errors import ConversionError, ParityError, SourceError
from onnxq.events import tell_nobody
from onnxq.reports import Parity
from onnxq.sources import Factory, TorchExportFile, TorchScriptFile, WeightsFile, parse_input
from onnxq.stages import ConvertRequest, NoDataRequest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import jit, nn  # noqa: E402 - after the skip
from torch.ao import quantization as ao  # noqa: E402 - after the skip
from torch.ao.quantization import quantize_fx  # noqa: E402 - after the skip

from onnxq.conversion.from_torch import convert_module  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_models import open_own  # noqa: E402 - after the skip
from onnxq.graph.model_files import read_model  # noqa: E402 - after the skip
from onnxq.runtime import open_predict  # noqa: E402 - after the skip

pytestmark = [
    pytest.mark.torch,
    # All of these are deprecated, and torch 2.13.0 says so in every call.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Please use quant_min:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:_aminmax is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.quant = ao.QuantStub()
        self.conv = nn.Conv2d(1, 4, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)
        self.dequant = ao.DeQuantStub()

    def forward(self, image):
        x = self.relu(self.conv(self.quant(image)))
        return self.dequant(self.fc(x.mean((2, 3))))


class Branching(nn.Module):
    def forward(self, x, scale: float = 2.0):
        y = x * scale if x.sum() > 0 else x - 1
        return {"a": y, "b": x + scale}


class Flattening(nn.Module):
    def forward(self, x):
        return torch.flatten(x, 1), x.sum()


class Frozen(nn.Module):
    def forward(self, x):
        return x * 2 if bool(x.sum() > 0) else x - 1


class Unknown(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x)[1]


def saved(module, path):
    jit.save(module, path)
    return TorchScriptFile(str(path))


def converted(source, folder, *declared, trust=True):
    folder.mkdir()
    request = ConvertRequest(
        source=source,
        declared=tuple(parse_input(text) for text in declared),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
        trust=trust,
    )
    return convert(request, folder, tell_nobody)


def exported(module, folder, *declared):
    inputs = tuple(parse_input(text) for text in declared)
    export = convert_module(module, inputs, folder / "m.onnx")
    return export, read_model(folder / "m.onnx")


def images(rows):
    return np.random.default_rng(rows).standard_normal((rows, 1, 6, 6)).astype(np.float32)


# TorchScript


@pytest.mark.parametrize("kind", ["traced", "scripted", "frozen"])
def test_torchscript_keeps_its_names_and_a_free_batch(kind, tmp_path):
    module = Net().eval()
    made = jit.script(module) if kind == "scripted" else jit.trace(module, torch.ones(2, 1, 6, 6))
    source = saved(jit.freeze(made) if kind == "frozen" else made, tmp_path / "m.pt")
    result = converted(source, tmp_path / "out", "image:Nx1x6x6")
    assert str(result.model.signature.inputs[0]) == "image float32 [N, 1, 6, 6]"
    assert [spec.name for spec in result.model.signature.outputs] == ["output"]
    assert isinstance(result.parity, Parity)
    assert {probe.batch_rows for probe in result.parity.probes} == {1, 3}
    assert (result.model.opset, result.findings) == (17, ())
    assert "TorchScript" in result.exporter


def test_control_flow_of_a_script_is_kept(tmp_path):
    source = saved(jit.script(Branching()), tmp_path / "m.pt")
    result = converted(source, tmp_path / "out", "x:Nx4")
    assert "If" in result.model.operators
    assert [spec.name for spec in result.model.signature.outputs] == ["a", "b"]
    for sign in (1, -1):
        x = sign * np.ones((3, 4), np.float32)
        found = open_predict(result.model.path)({"x": x})
        expected = Branching()(torch.tensor(x))
        np.testing.assert_allclose(found["a"], expected["a"])
        np.testing.assert_allclose(found["b"], expected["b"])


def test_the_batch_axis_of_outputs_has_a_name(tmp_path):
    source = saved(jit.trace(Flattening(), torch.ones(2, 2, 2)), tmp_path / "m.pt")
    result = converted(source, tmp_path / "out", "x:Nx2x2")
    first, second = result.model.signature.outputs
    assert (first.shape[0], second.shape) == ("N", ())


def test_a_batch_that_was_traced_in_is_fixed_and_said(tmp_path):
    class Reshaping(nn.Module):
        def forward(self, x):
            return x.reshape(1, 2, 2) * 2

    source = saved(jit.trace(Reshaping(), torch.ones(1, 4)), tmp_path / "m.pt")
    result = converted(source, tmp_path / "out", "x:Nx4")
    assert result.model.signature.fixed_batch_rows == 1
    assert [finding.code for finding in result.findings] == ["OQ153"]


def test_an_operator_that_onnx_lacks_is_named_and_nothing_is_printed(tmp_path, capfd):
    source = saved(jit.script(Unknown()), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match="linalg_svd") as caught:
        converted(source, tmp_path / "out", "x:Nx3x3")
    assert caught.value.code == "OQ151"
    assert capfd.readouterr() == ("", "")


def test_inputs_have_to_be_declared(tmp_path):
    source = saved(jit.script(Branching()), tmp_path / "m.pt")
    with pytest.raises(SourceError, match=r"takes \(x\)") as caught:
        converted(source, tmp_path / "out")
    assert caught.value.code == "OQ112"


def test_torchscript_needs_trust(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"never opened")
    with pytest.raises(SourceError) as caught:
        converted(TorchScriptFile(str(path)), tmp_path / "out", trust=False)
    assert caught.value.code == "OQ109"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_damaged_file_is_said(share, tmp_path):
    source = saved(jit.script(Branching()), tmp_path / "m.pt")
    whole = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError) as caught:
        converted(source, tmp_path / "out", "x:Nx4")
    assert caught.value.code == "OQ104"


# quantized by torch.ao


def quantized(kind):
    torch.manual_seed(0)
    rows = torch.randn(64, 1, 6, 6)
    if kind == "fx":
        mapping = ao.get_default_qconfig_mapping("x86")
        prepared = quantize_fx.prepare_fx(Net().eval(), mapping, (rows,))
        prepared(rows)
        return quantize_fx.convert_fx(prepared)
    net = Net()
    if kind == "qat":
        net.train().qconfig = ao.get_default_qat_qconfig("x86")
        prepared = ao.prepare_qat(net)
    else:
        net.eval().qconfig = ao.get_default_qconfig("x86")
        prepared = ao.prepare(net)
    prepared(rows)
    return ao.convert(prepared.eval())


@pytest.mark.parametrize("kind", ["eager", "qat", "fx"])
def test_a_converted_module_stays_quantized(kind, tmp_path):
    module = quantized(kind)
    export, model = exported(module, tmp_path, "image:Nx1x6x6")
    assert "static, as QuantizeLinear pairs: 2 weights in int8" in export.quantized_already
    assert "integers" in export.tolerance.reason
    for rows in (1, 3):
        found = open_predict(model.path)({"image": images(rows)})["output"]
        expected = export.predict({"image": images(rows)})["output"]
        np.testing.assert_allclose(found, expected, atol=0.01)  # a step: a half rounds either way


@pytest.mark.parametrize("kind", ["eager", "qat", "fx"])
def test_a_module_that_is_not_converted_yet_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(quantize_fx, "convert_fx", lambda module: module)
    monkeypatch.setattr(ao, "convert", lambda module: module)
    with pytest.raises(SourceError, match="not converted yet") as caught:
        exported(quantized(kind), tmp_path, "image:Nx1x6x6")
    assert caught.value.code == "OQ111"
    assert "convert(module.eval())" in caught.value.hint


def test_dynamic_quantization_of_torch_is_refused(tmp_path):
    module = ao.quantize_dynamic(Net().eval(), {nn.Linear})
    with pytest.raises(SourceError, match="dynamically") as caught:
        exported(module, tmp_path, "image:Nx1x6x6")
    assert "int8-dynamic" in caught.value.hint


def test_a_frozen_branch_is_warned_of_and_found(tmp_path):
    """Python's own branches are frozen in a trace, and the comparison says so."""

    class QuantizedFrozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = quantized("eager")
            self.branch = Frozen()

        def forward(self, image):
            return self.branch(self.net(image))

    module = QuantizedFrozen().eval()
    export, model = exported(module, tmp_path, "image:Nx1x6x6")
    assert [finding.code for finding in export.findings] == ["OQ160"]
    assert "tracing freezes" in export.doubt
    del model


def test_the_doubt_stands_in_the_hint(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "onnxq.conversion.from_torch_calls.ModuleCall.predict",
        lambda _, inputs: {"a": inputs["x"], "b": inputs["x"]},
    )
    source = saved(jit.script(Branching()), tmp_path / "m.pt")
    with pytest.raises(ParityError) as caught:
        converted(source, tmp_path / "out", "x:Nx4")
    assert "tracing freezes a branch" in caught.value.hint


# a real network


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torchscript", "program"])
def test_a_third_party_network_converts(kind, shared, request, tmp_path):
    file = request.config.rootpath / "scripts" / "acceptance" / "nets.py"
    net = call_factory(Factory(str(file), "resnet20"), ())
    weights = shared / "models" / "pytorch_cifar_resnet" / "resnet20-12fca82f.th"
    opened = open_own(net, "resnet20", WeightsFile(str(weights)))
    example = torch.ones(2, 3, 32, 32)
    source: TorchScriptFile | TorchExportFile = TorchScriptFile(str(tmp_path / "m.pt"))
    if kind == "torchscript":
        jit.save(jit.trace(opened.module, example), source.path)
    else:
        source = TorchExportFile(str(tmp_path / "m.pt2"))
        free = ({0: torch.export.Dim("rows")},)
        program = torch.export.export(opened.module, (example,), dynamic_shapes=free)
        torch.export.save(program, source.path)
    declared = "image:Nx3x32x32" if kind == "torchscript" else ""
    result = converted(source, tmp_path / "out", *declared.split())
    rows = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    (found,) = open_predict(result.model.path)({"image": rows}).values()
    with torch.no_grad():
        expected = opened.module(torch.tensor(rows)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert str(result.model.signature.outputs[0]) == "output float32 [N, 10]"
