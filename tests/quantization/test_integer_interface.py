import numpy as np
import pytest

from onnxq.graph import load_proto, read_signature
from onnxq.graph.integer_io import read_integer_io, write_integer_io
from onnxq.integer_tensors import dequantize_array, dequantize_outputs, quantize_feeds
from onnxq.recipe_kinds import ALIASES, EVERYTHING, QuantizationScope
from onnxq.runtime import open_predict

INT8 = ALIASES["int8"]


def run(result, rows, *, optimize):
    predict = open_predict(result.model.path, optimize=optimize)
    return predict(quantize_feeds(rows, result.io))


@pytest.fixture(params=["uint8", "int8"])
def dtype(request):
    return request.param


@pytest.fixture
def results(kit, dtype):
    return kit.quantize(INT8), kit.quantize(INT8, QuantizationScope(io=dtype))


def test_the_signature_becomes_integer(kit, dtype, results):
    _, integer = results
    signature = read_signature(load_proto(integer.model.path).graph)
    for found, given in zip(
        (*signature.inputs, *signature.outputs),
        (*kit.model.signature.inputs, *kit.model.signature.outputs),
        strict=True,
    ):
        assert (found.name, found.shape) == (given.name, given.shape)
        assert found.dtype == (dtype if given.dtype == "float32" else given.dtype)
    assert [tensor.dtype for tensor in integer.io] == [dtype] * len(integer.io)
    assert read_integer_io(load_proto(integer.model.path)) == integer.io


def test_the_outputs_are_those_of_the_float_interface_to_half_a_step(kit, results):
    plain, integer = results
    rows = kit.rows(seed=3)
    inside = dequantize_outputs(quantize_feeds(rows, integer.io), integer.io)
    (y,) = (tensor for tensor in integer.io if tensor.name == "y")
    ends = np.array([np.iinfo(y.dtype).min, np.iinfo(y.dtype).max]).astype(y.dtype)
    expected = open_predict(plain.model.path, optimize=False)(inside)["y"]
    expected = np.clip(expected, *dequantize_array(ends, y))
    for optimize, steps in ((False, 0.501), (True, 2.01)):  # fused kernels round otherwise
        found = dequantize_outputs(run(integer, rows, optimize=optimize), integer.io)["y"]
        assert np.abs(found - expected).max() <= steps * y.scale


def test_int8_is_uint8_less_128(kit_of):
    kit = kit_of("cnn")
    rows = kit.rows(seed=4)
    uint8, int8 = (
        run(kit.quantize(INT8, QuantizationScope(io=io)), rows, optimize=False)["y"]
        for io in ("uint8", "int8")
    )
    np.testing.assert_array_equal(uint8.astype(np.int16) - 128, int8)


def test_a_uint8_interface_leaves_no_quantization_at_the_border(kit_of):
    graph = load_proto(kit_of("cnn").quantize(INT8, QuantizationScope(io="uint8")).model.path).graph
    readers = [node.op_type for node in graph.node if "x" in node.input]
    assert readers == ["Pad"]  # of the stem's channels, on integers
    (producer,) = (node for node in graph.node if "y" in node.output)
    assert producer.op_type == "QuantizeLinear"


def test_the_output_of_a_softmax_takes_the_whole_range(kit_of):
    io = kit_of("cnn").quantize(INT8, QuantizationScope(io="uint8")).io
    (y,) = (tensor for tensor in io if tensor.name == "y")
    assert (y.zero_point, y.scale) == (0, pytest.approx(1 / 255))


def test_integer_inputs_stay_as_they_are(kit_of):
    assert [t.name for t in kit_of("lstm").quantize(INT8, QuantizationScope(io="int8")).io] == ["y"]


def test_a_float_interface_says_nothing(kit_of):
    result = kit_of("mlp").quantize(INT8, EVERYTHING)
    assert result.io == ()
    assert not load_proto(result.model.path).metadata_props


def test_foreign_metadata_are_no_scales(kit_of):
    proto = load_proto(kit_of("mlp").model.path)
    proto.metadata_props.add(key="onnxq.io", value="by hand")
    assert read_integer_io(proto) == ()
    write_integer_io(proto, ())
    assert [entry.value for entry in proto.metadata_props] == ["[]"]
