import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.conversion.converting import convert
from onnxq.datasets.values import DataRequest
from onnxq.errors import MissingDependencyError, OnnxqError, ParityError, SourceError
from onnxq.events import Progressed, tell_nobody
from onnxq.reports import Parity, ParityNotChecked
from onnxq.runtime import open_predict
from onnxq.sources import (
    Factory,
    KerasFile,
    OnnxFile,
    TorchExportFile,
    TorchScriptFile,
    WeightsFile,
    parse_input,
)
from onnxq.stages import ConvertRequest, NoDataRequest

NETS = """
import torch
import converting_neighbour

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.fc = torch.nn.Linear(4, 2)
    def forward(self, image):
        return self.fc(torch.relu(self.conv(image)).mean(dim=(2, 3)))

class SpecialAtOne(torch.nn.Module):
    def forward(self, x):
        return x + 1 if len(x) == 1 else x * 2

class Tokens(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)
    def forward(self, tokens, mask):
        import converting_neighbour_later
        return (self.table(tokens) * mask.unsqueeze(-1)).sum(dim=1)
"""


def asked(source, data=None, declared=(), *, check=True, folders=()):
    return ConvertRequest(
        source=source,
        declared=tuple(parse_input(text) for text in declared),
        data=NoDataRequest() if data is None else DataRequest(spec=str(data)),
        check=check,
        seed=0,
        trusted_folders=tuple(map(str, folders)),
    )


def gemm_file(path, *, opset=17, batch="N", dtype=TensorProto.FLOAT):
    weight = numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", dtype, [batch, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    imports = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return OnnxFile(str(path))


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "converting_neighbour.py").touch()
    (tmp_path / "converting_neighbour_later.py").touch()
    return tmp_path


def test_an_onnx_file_is_what_it_was(tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx")
    events = []
    result = convert(asked(source), work, events.append)
    assert result.framework == "onnx"
    assert result.parity == ParityNotChecked(reason="the source is ONNX already")
    assert result.findings == ()
    assert Path(result.model.path).parent == work
    assert events == [Progressed("convert", done, 3) for done in (1, 2, 3)]


def test_a_lifted_onnx_file_is_compared_with_the_given_one(tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx", opset=9)
    result = convert(asked(source), work, tell_nobody)
    assert isinstance(result.parity, Parity)
    assert result.model.opset == 13
    assert [finding.code for finding in result.findings] == ["OQ155"]


def test_a_wrong_lift_is_refused(tmp_path, work, monkeypatch):
    def wrong(proto, _opset):
        proto.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
        )
        proto.opset_import[0].version = 13
        return proto

    monkeypatch.setattr(onnx.version_converter, "convert_version", wrong)
    source = gemm_file(tmp_path / "m.onnx", opset=9)
    with pytest.raises(ParityError) as caught:
        convert(asked(source), work, tell_nobody)
    assert caught.value.code == "OQ152"


def test_integers_without_rows_ask_for_a_declaration(tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx", opset=9, dtype=TensorProto.INT64)
    with pytest.raises(SourceError, match="values are not known"):
        convert(asked(source), work, tell_nobody)
    (work / "model.onnx").unlink()
    declared = ["x:Nx4:int64:0..9"]
    result = convert(asked(source, declared=declared), work, tell_nobody)
    assert isinstance(result.parity, Parity)
    assert {probe.inputs for probe in result.parity.probes} == {"values"}


def test_a_fixed_batch_is_kept_and_said(tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx", batch=1)
    result = convert(asked(source), work, tell_nobody)
    assert [finding.code for finding in result.findings] == ["OQ153"]
    assert result.findings[0].evidence == {"batch_rows": 1}


def test_a_model_that_onnxruntime_refuses_is_the_sources_fault(tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx")
    proto = onnx.load(source.path)
    proto.graph.node[1].op_type = "NoSuchOperator"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(SourceError) as caught:
        convert(asked(source), work, tell_nobody)
    assert caught.value.code == "OQ111"
    assert "NoSuchOperator" in caught.value.message


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("y:Nx4", "has no input 'y'"),
        ("x:Nx5", "contradicts the model: it takes x float32 [N, 4]"),
        ("x:Nx2x2", "contradicts the model"),
    ],
)
def test_a_declaration_that_contradicts_the_model_is_said(declared, words, tmp_path, work):
    source = gemm_file(tmp_path / "m.onnx")
    with pytest.raises(SourceError) as caught:
        convert(asked(source, declared=[declared]), work, tell_nobody)
    assert caught.value.code == "OQ112"
    assert words in caught.value.message


@pytest.mark.torch
def test_a_torch_factory_takes_its_inputs_from_the_rows(nets, work):
    rows = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(nets / "rows.npz", pictures=rows, y=np.arange(6) % 2)
    source = Factory("nets.py", "Net")
    result = convert(asked(source, nets / "rows.npz", folders=[nets]), work, tell_nobody)
    assert str(result.model.signature.inputs[0]) == "image float32 [N, 3, 8, 8]"
    assert isinstance(result.parity, Parity)
    kinds = {(probe.batch_rows, probe.inputs) for probe in result.parity.probes}
    assert kinds == {(b, kind) for b in (1, 3) for kind in ("rows", "negated", "scaled")}
    assert result.framework == "torch"
    assert "torch" in result.exporter
    assert str(nets) not in sys.path


@pytest.mark.torch
def test_several_inputs_are_matched_by_name(nets, work):
    generator = np.random.default_rng(0)
    mask = np.ones((6, 5), np.float32)
    np.savez(nets / "rows.npz", mask=mask, tokens=generator.integers(0, 10, (6, 5)))
    source = Factory("nets.py", "Tokens")
    result = convert(asked(source, nets / "rows.npz", folders=[nets]), work, tell_nobody)
    assert [str(spec) for spec in result.model.signature.inputs] == [
        "tokens int64 [N, 5]",
        "mask float32 [N, 5]",
    ]


@pytest.mark.torch
def test_rows_under_other_names_are_asked_for(nets, work):
    np.savez(nets / "rows.npz", a=np.ones((6, 5)), b=np.ones((6, 5)))
    source = Factory("nets.py", "Tokens")
    with pytest.raises(OnnxqError) as caught:
        convert(asked(source, nets / "rows.npz", folders=[nets]), work, tell_nobody)
    assert caught.value.code == "OQ112"
    assert "takes (tokens, mask)" in caught.value.message
    assert "--map tokens=ARRAY" in caught.value.hint


@pytest.mark.torch
def test_without_rows_or_declaration_the_inputs_are_not_known(nets, work):
    with pytest.raises(SourceError) as caught:
        convert(asked(Factory("nets.py", "Net"), folders=[nets]), work, tell_nobody)
    assert caught.value.code == "OQ112"
    assert "--input image:Nx3x224x224" in caught.value.hint


@pytest.mark.torch
def test_a_batch_that_takes_another_branch_is_found(nets, work):
    """torch.export assumes that a free batch is at least 2, and says nothing."""
    source = Factory("nets.py", "SpecialAtOne")
    with pytest.raises(ParityError, match="batch 1"):
        convert(asked(source, declared=["x:Nx4"], folders=[nets]), work, tell_nobody)


@pytest.mark.torch
def test_no_check_is_said(nets, work):
    source = Factory("nets.py", "SpecialAtOne")
    request = asked(source, declared=["x:Nx4"], folders=[nets], check=False)
    result = convert(request, work, tell_nobody)
    assert result.parity == ParityNotChecked(reason="switched off with --no-check")
    assert [finding.code for finding in result.findings] == ["OQ154"]


@pytest.mark.torch
def test_the_same_source_gives_the_same_file(nets, tmp_path):
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        request = asked(Factory("nets.py", "Net"), declared=["image:Nx3x8x8"], folders=[nets])
        digests.add(convert(request, tmp_path / name, tell_nobody).model.sha256)
    assert len(digests) == 1


@pytest.mark.torch
def test_our_digits_model_reads_digits(pytestconfig, work):
    root = pytestconfig.rootpath
    folder = root / "models" / "digits_resnet_torch"
    pytest.importorskip("sklearn")
    sys.path.insert(0, str(root / "models"))
    try:
        from digits import digits_rows  # noqa: PLC0415 - found by the path above
    finally:
        sys.path.remove(str(root / "models"))
    weights = folder / "weights.pt"
    assert weights.stat().st_size < 1_000_000
    request = ConvertRequest(
        source=Factory(str(folder / "net.py"), "build", WeightsFile(str(weights))),
        declared=(parse_input("image:Nx1x28x28"),),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
    )
    model = convert(request, work, tell_nobody).model
    images, labels, is_training = digits_rows()
    logits = open_predict(model.path)({"image": images[~is_training][:, np.newaxis]})["output"]
    assert np.mean(logits.argmax(axis=1) == labels[~is_training]) >= 0.97


def as_if_missing(monkeypatch, package, *doors):
    monkeypatch.setitem(sys.modules, package, None)
    for door in doors:
        for name in [n for n in sys.modules if n.startswith(f"onnxq.conversion.{door}")]:
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [
        (TorchExportFile("m.pt2"), "torch", "onnxq[torch]"),
        (TorchScriptFile("m.pt"), "torch", "onnxq[torch]"),
        (KerasFile("m.keras"), "keras", "onnxq[keras]"),
    ],
)
def test_a_missing_extra_is_named(source, package, extra, work, monkeypatch):
    as_if_missing(monkeypatch, package, "from_torch", "from_keras")
    with pytest.raises(MissingDependencyError) as caught:
        convert(msgspec.structs.replace(asked(source), trust=True), work, tell_nobody)
    assert caught.value.code == "OQ108"
    assert package in caught.value.message
    assert f"pip install '{extra}'" in caught.value.hint
    assert "GB" in caught.value.hint
