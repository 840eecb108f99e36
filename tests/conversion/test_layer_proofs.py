"""Wrong integers inside an export are found where they are, on networks of others."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.conversion.converting import convert as convert_stage
from onnxq.conversion.layer_proofs import check_layers
from onnxq.conversion.parity import check_parity
from onnxq.conversion.parity_probes import make_probes
from onnxq.errors import ParityError
from onnxq.graph.model_files import read_model
from onnxq.runtime import open_predict
from onnxq.sources import TfliteFile
from onnxq.stages import ConvertRequest, NoDataRequest

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]

TWINS = ["pretrainedResnet_quant", "vww_96_int8", "ad01_int8"]


@pytest.fixture(scope="module", params=TWINS)
def twin(request, shared, tmp_path_factory):
    """An export of an int8 file, and what TFLite stores and computes in that file."""
    from onnxq.conversion.from_tflite import convert_tflite  # noqa: PLC0415 - takes seconds

    folder = tmp_path_factory.mktemp("twin")
    path = shared / "models" / "keras2_tinymlperf" / f"{request.param}.tflite"
    export = convert_tflite(path, folder / "m.onnx")
    signature = read_model(folder / "m.onnx").signature
    _, probe, *_ = make_probes(signature, {}, export.known_inputs, traced_rows=0, seed=0)
    return SimpleNamespace(
        source=path,
        folder=folder,
        export=export,
        signature=signature,
        inputs=probe.inputs,
        layers=export.layers(probe.inputs),
        proto=onnx.load(folder / "m.onnx"),
    )


def test_each_layer_of_a_right_export_agrees(twin):
    quantizers = [node for node in twin.proto.graph.node if node.op_type == "QuantizeLinear"]
    assert check_layers(twin.folder / "m.onnx", twin.inputs, twin.layers) == len(quantizers)


def zeroed(weight, scale):
    return np.zeros_like(weight), scale


def swapped(weight, scale):
    """Swap the two channels that differ most: some channels of these networks are alike."""
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    first = int(np.abs(flat).sum(axis=1).argmax())
    other = int(np.abs(flat - flat[first]).sum(axis=1).argmax())
    changed = weight.copy()
    changed[[first, other]] = changed[[other, first]]
    return changed, scale


def tenth_off(weight, scale):
    return weight, (scale * 1.1).astype(np.float32)


@pytest.mark.parametrize("mutation", [zeroed, swapped, tenth_off])
def test_each_wrong_weight_is_found(twin, mutation):
    weights = [tensor.name for tensor in twin.proto.graph.initializer if len(tensor.dims) > 1]
    read = [
        node
        for node in twin.proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    ]
    assert len(read) >= 10
    for node in read:
        with pytest.raises(ParityError, match="integers of") as raised:
            check_layers(
                mutated(twin, node.input[0], node.input[1], mutation), twin.inputs, twin.layers
            )
        assert raised.value.code == "OQ152"


def test_each_wrong_scale_of_an_activation_is_found(twin):
    """Where a scale is a tenth off on one side alone."""
    for at, node in enumerate(twin.proto.graph.node):
        if node.op_type != "QuantizeLinear":
            continue
        changed = onnx.ModelProto()
        changed.CopyFrom(twin.proto)
        scale = onnx.numpy_helper.to_array(initializer(changed, node.input[1]))
        wrong = onnx.numpy_helper.from_array((scale * 1.1).astype(np.float32), "wrong")
        changed.graph.initializer.append(wrong)
        changed.graph.node[at].input[1] = "wrong"
        onnx.save(changed, twin.folder / "wrong.onnx")
        with pytest.raises(ParityError, match="steps from the source's"):
            check_layers(twin.folder / "wrong.onnx", twin.inputs, twin.layers)


def test_the_outputs_alone_would_not_tell(twin):
    """Why layers are compared: a tenth in the scale of some weight is lost among the steps."""
    weights = {tensor.name for tensor in twin.proto.graph.initializer if len(tensor.dims) > 1}
    passed = 0
    for node in twin.proto.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            wrong = mutated(twin, node.input[0], node.input[1], tenth_off)
            try:
                compare_outputs(twin, wrong)
            except ParityError:
                continue
            passed += 1
    assert passed


def test_a_wrong_export_ends_the_conversion(twin, tmp_path, monkeypatch):
    from onnxq.conversion import from_tflite  # noqa: PLC0415 - takes seconds

    wrong = next(
        mutated(twin, node.input[0], node.input[1], tenth_off)
        for node in twin.proto.graph.node
        if node.op_type == "DequantizeLinear" and len(initializer_dims(twin, node.input[0])) > 1
    )
    monkeypatch.setattr(from_tflite, "_export", lambda *_: onnx.load(wrong))
    monkeypatch.setattr(from_tflite, "write_integer_io", lambda *_: None)  # it is in there already
    request = ConvertRequest(
        source=TfliteFile(str(twin.source)),
        declared=(),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
    )
    with pytest.raises(ParityError, match=r"steps from the source's|differs by up to") as raised:
        convert_stage(request, tmp_path, lambda _: None)
    assert raised.value.code == "OQ152"


def compare_outputs(twin, path):
    check_parity(
        twin.export.predict,
        open_predict(path),
        twin.signature,
        {},
        traced_rows=0,
        seed=0,
        declared=twin.export.known_inputs,
        tolerance=twin.export.tolerance,
    )


def initializer(proto, name):
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def initializer_dims(twin, name):
    return next((t.dims for t in twin.proto.graph.initializer if t.name == name), ())


def mutated(twin, weight, scale, mutation):
    changed = onnx.ModelProto()
    changed.CopyFrom(twin.proto)
    tensors = initializer(changed, weight), initializer(changed, scale)
    arrays = mutation(*map(onnx.numpy_helper.to_array, tensors))
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    path = twin.folder / "mutated.onnx"
    onnx.save(changed, path)
    return path
