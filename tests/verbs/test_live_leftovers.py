"""Nothing of a live model's export is left behind, however it ends."""

import tempfile

import pytest

import onnxq
from onnxq.errors import OnnxqError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 - after the skip

pytestmark = pytest.mark.torch


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Interrupted(nn.Module):
    def forward(self, x):
        raise KeyboardInterrupt(x.shape)


def left_in(folder):
    """What lies there, but for the cache that torch itself makes where it is imported first."""
    return [path for path in folder.iterdir() if not path.name.startswith("torchinductor_")]


@pytest.mark.parametrize(
    ("module", "error"), [(Noisy(), OnnxqError), (Interrupted(), KeyboardInterrupt)]
)
def test_a_live_export_that_ends_badly_leaves_nothing(tmp_path, monkeypatch, module, error):
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(error):
        onnxq.convert(module, input=["x:Nx3"], out=out)
    assert left_in(scratch) == []
    assert not out.exists()


def test_a_live_export_that_ends_well_leaves_its_result(tmp_path, monkeypatch):
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    onnxq.convert(nn.Linear(3, 2), input=["input:Nx3"], out=out)
    assert left_in(scratch) == []
    assert [path.suffix for path in sorted(out.glob("*.onnx"))] == [".onnx"]
