"""Programs of ``torch.export``: files, and what they keep and lose."""

import numpy as np
import pytest

from onnxq.conversion.converting import convert
from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.reports import Parity
from onnxq.runtime import open_predict
from onnxq.sources import TorchExportFile, parse_input
from onnxq.stages import ConvertRequest, NoDataRequest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 - after the skip
from torch.export import Dim  # noqa: E402 - after the skip

pytestmark = [
    pytest.mark.torch,
    # torch 2.13.0 pickles its own tree specs, and warns about them
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, 2)

    def forward(self, image, scale=None, *, shift=0.0):
        x = torch.relu(self.conv(image)).mean((2, 3)) + shift
        x = x if scale is None else x * scale
        return {"logits": self.fc(x), "rest": [x, None]}


class Sequences(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], dim=1)


def saved(module, args, path, **given):
    program = torch.export.export(module.eval(), args, **given)
    torch.export.save(program, path)
    return TorchExportFile(str(path))


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


def test_a_free_batch_and_the_names_are_kept(tmp_path):
    free = {"image": {0: Dim("rows")}}
    source = saved(Net(), (torch.ones(2, 1, 6, 6),), tmp_path / "m.pt2", dynamic_shapes=free)
    result = converted(source, tmp_path / "out")
    assert str(result.model.signature.inputs[0]) == "image float32 [N, 1, 6, 6]"
    assert [str(spec) for spec in result.model.signature.outputs] == [
        "logits float32 [N, 2]",
        "rest_0 float32 [N, 4]",
    ]
    assert isinstance(result.parity, Parity)
    assert {probe.batch_rows for probe in result.parity.probes} == {1, 3}
    assert (result.findings, result.model.opset, result.framework) == ((), 18, "torch")


def test_what_was_frozen_is_told(tmp_path):
    kwargs = {"scale": torch.ones(2, 1), "shift": 0.5}
    source = saved(Net(), (torch.ones(2, 1, 6, 6),), tmp_path / "m.pt2", kwargs=kwargs)
    result = converted(source, tmp_path / "out")
    assert [str(spec) for spec in result.model.signature.inputs] == [
        "image float32 [2, 1, 6, 6]",
        "scale float32 [2, 1]",
    ]
    assert [finding.code for finding in result.findings] == ["OQ153"]
    assert result.findings[0].evidence == {"batch_rows": 2}
    assert "dynamic_shapes" in result.findings[0].fix


def test_other_free_axes_need_a_size_to_be_proven(tmp_path):
    batch, steps = Dim("batch"), Dim("steps")
    free = {"a": {0: batch, 1: steps}, "b": {0: batch}}
    args = (torch.ones(2, 3, 4), torch.ones(2, 5, 4))
    source = saved(Sequences(), args, tmp_path / "m.pt2", dynamic_shapes=free)
    with pytest.raises(SourceError) as caught:
        converted(source, tmp_path / "out")
    assert caught.value.code == "OQ112"
    result = converted(source, tmp_path / "again", "a:Nx7x4")
    batch_axis, steps_axis, width = result.model.signature.inputs[0].shape
    assert (batch_axis, width) == ("N", 4)
    assert isinstance(steps_axis, str)


def test_a_program_in_training_mode_is_refused(tmp_path):
    """It normalizes by its batch and counts batches, which the export cannot."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).train()
    source = TorchExportFile(str(tmp_path / "m.pt2"))
    torch.export.save(torch.export.export(net, (torch.randn(2, 4),)), source.path)
    with pytest.raises(SourceError, match=r"changes its own buffers .*1\.num_batches_tracked") as e:
        converted(source, tmp_path / "out")
    assert e.value.code == "OQ111"
    assert "module.eval()" in e.value.hint


def test_a_file_that_runs_code_needs_trust(tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(b"never opened")
    with pytest.raises(SourceError) as caught:
        converted(TorchExportFile(str(path)), tmp_path / "out", trust=False)
    assert caught.value.code == "OQ109"
    assert "--trust" in caught.value.hint


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_damaged_file_is_said(share, tmp_path, capfd):
    source = saved(Net(), (torch.ones(2, 1, 6, 6),), tmp_path / "m.pt2")
    whole = (tmp_path / "m.pt2").read_bytes()
    (tmp_path / "m.pt2").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError) as caught:
        converted(source, tmp_path / "out")
    assert caught.value.code == "OQ104"
    assert capfd.readouterr() == ("", "")


class Pt2e(nn.Module):
    """What ``convert_pt2e`` leaves: pairs of quantized_decomposed operators around float ones."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = torch.randint(-127, 128, (4, 3), generator=generator, dtype=torch.int8)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", torch.tensor([0.01, 0.02, 0.03, 0.04]))
        self.register_buffer("zero", torch.zeros(4, dtype=torch.int64))

    def forward(self, x):
        operators = torch.ops.quantized_decomposed
        x = operators.quantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        x = operators.dequantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        weight = operators.dequantize_per_channel(
            self.weight, self.scale, self.zero, 0, -127, 127, torch.int8
        )
        return nn.functional.linear(x, weight)


def test_a_pt2e_program_is_known_to_be_quantized(tmp_path):
    pytest.importorskip("torch.ao.quantization.fx._decomposed")
    free = {"x": {0: Dim("rows")}}
    source = saved(Pt2e(), (torch.ones(2, 3),), tmp_path / "m.pt2", dynamic_shapes=free)
    result = converted(source, tmp_path / "out")
    assert "1 weight in int8, per channel" in result.quantized_already
    assert result.model.quantized_nodes > 0
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    (found,) = open_predict(result.model.path)({"x": x}).values()
    expected = Pt2e()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
