"""The stage that finds out where integers are slower: real kernels, invented times."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.model_files import read_model
from onnxq.profiling import placing
from onnxq.profiling.kernel_times import profile_kernels
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges, write_ranges
from onnxq.recipe_kinds import MinMax, QuantizationScope, StaticQdq
from onnxq.stages import PlaceRequest

NAMES = ("a", "b", "c")


@pytest.fixture
def request_of_chain(tmp_path):
    """Three Convs, and what the static recipe makes of them."""
    random = np.random.default_rng(5)
    nodes, weights, read = [], {}, "x"
    for name in NAMES:
        weights[f"w{name}"] = random.normal(0, 0.2, (16, 16, 3, 3)).astype(np.float32)
        inputs = [read, f"w{name}"]
        nodes.append(helper.make_node("Conv", inputs, [name], f"conv_{name}", pads=[1] * 4))
        read = name
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "chain",
        [value("x", TensorProto.FLOAT, [1, 16, 8, 8])],
        [value("c", TensorProto.FLOAT, [1, 16, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(proto), tmp_path / "source.onnx")
    ranges = TensorRanges("minmax", {name: TensorRange(-3.0, 3.0) for name in ("x", *NAMES)})
    made = quantize_static_qdq(
        tmp_path / "source.onnx", tmp_path / "int8.onnx", StaticQdq(ranges=MinMax()), ranges
    )
    np.save(tmp_path / "x.npy", random.normal(0, 1, (1, 16, 8, 8)).astype(np.float32))
    return PlaceRequest(
        original=read_model(tmp_path / "source.onnx"),
        quantized=made.model,
        ranges=write_ranges(ranges, tmp_path),
        inputs={"x": str(tmp_path / "x.npy")},
        seconds=0.1,
    )


def with_times(monkeypatch, float_us, integer_us):
    """Let each Conv take as long as is said; whatever else there is takes no time."""

    def timed(models, folder, *, seconds):
        found = profile_kernels(models, folder, seconds=seconds)
        told = []
        for one, times in zip(found, (float_us, integer_us), strict=True):
            nodes = onnx.load(one.graph).graph.node
            convs = [node.name for node in nodes if node.op_type in {"Conv", "QLinearConv"}]
            known = dict.fromkeys(one.ns, 0.0)
            if convs:
                known |= {name: 1e3 * us for name, us in zip(convs, times, strict=True)}
            told.append(replace(one, ns=known))
        return tuple(told)

    monkeypatch.setattr(placing, "profile_kernels", timed)


def place(request, tmp_path):
    folder = tmp_path / "stage"
    folder.mkdir()
    return placing.place(request, folder, lambda _: None)


def test_a_slow_start_is_proposed_once(request_of_chain, tmp_path, monkeypatch):
    with_times(monkeypatch, (10, 30, 30), (30, 10, 10))
    found = place(request_of_chain, tmp_path)
    (placement,) = found.placements
    assert [region.nodes for region in placement.regions] == [{"a": "conv_a"}]
    assert placement.gain == pytest.approx(50 / 30)
    assert "0.030 ms as integers and 0.010 ms as float" in placement.slow["a"]
    assert not found.is_float_faster


def test_nothing_is_proposed_where_integers_are_faster(request_of_chain, tmp_path, monkeypatch):
    with_times(monkeypatch, (30, 30, 30), (10, 10, 10))
    found = place(request_of_chain, tmp_path)
    assert (found.placements, found.is_float_faster) == ((), False)


def test_nothing_is_proposed_where_float_is_faster(request_of_chain, tmp_path, monkeypatch):
    with_times(monkeypatch, (10, 10, 10), (30, 30, 30))
    found = place(request_of_chain, tmp_path)
    assert (found.placements, found.is_float_faster) == ((), True)


def test_integer_outputs_stay_integer(request_of_chain, tmp_path, monkeypatch):
    with_times(monkeypatch, (30, 30, 10), (10, 10, 30))
    io = replace_scope(request_of_chain, QuantizationScope(io="uint8"))
    assert all(
        "c" not in region.nodes
        for placement in place(io, tmp_path).placements
        for region in placement.regions
    )


def replace_scope(request, scope):
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return PlaceRequest(**fields | {"scope": scope})


def test_every_kernel_is_timed_and_tells_its_size(request_of_chain, tmp_path):
    inputs = {"x": np.load(request_of_chain.inputs["x"])}
    models = [(request_of_chain.original.path, inputs), (request_of_chain.quantized.path, inputs)]
    for one in profile_kernels(models, tmp_path, seconds=0.05):
        names = {node.name for node in onnx.load(one.graph).graph.node}
        assert one.ns.keys() == names
        assert min(one.ns.values()) >= 0
        assert set(one.elements.values()) == {16 * 8 * 8}
    assert not list(tmp_path.glob("profile*"))
