import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import InferenceError
from onnxq.events import tell_nobody
from onnxq.models import OnnxModel
from onnxq.profiling import operators
from onnxq.profiling.operators import (
    fallback_share,
    profile_operators,
    sum_operators,
    time_nodes,
)
from onnxq.profiling.profile_events import NodeArgs, ProfileEvent
from onnxq.stages import ProfileOperatorsRequest
from onnxq.tensors import Signature


def run_event(ts, dur):
    return ProfileEvent(cat="Session", name="model_run", ts=ts, dur=dur)


def node(operator, ts, dur, name=""):
    return ProfileEvent(
        cat="Node",
        name=f"{name or operator}_kernel_time",
        ts=ts,
        dur=dur,
        args=NodeArgs(op_name=operator),
    )


def test_first_run_is_dropped_and_the_median_counts():
    events = []
    for start, conv, add in ((0, 900, 500), (2000, 30, 10), (3000, 34, 10), (4000, 800, 10)):
        events += [
            run_event(start, conv + add + 20),
            node("Conv", start + 5, conv),
            node("Add", start + 6 + conv, add),
            ProfileEvent(cat="Node", name="Add_fence_before", ts=start, dur=7),
        ]
    conv, add = sum_operators(events)
    assert (conv.operator, conv.count, conv.ns) == ("Conv", 1, 34_000)
    assert (add.operator, add.count, add.ns) == ("Add", 1, 10_000)
    assert conv.share + add.share == pytest.approx(1)


def test_nodes_of_a_type_are_summed_within_a_run():
    events = []
    for start in (0, 1000, 2000):
        events += [
            run_event(start, 100),
            node("Conv", start + 1, 10, "a"),
            node("Conv", start + 20, 30, "b"),
        ]
    (conv,) = sum_operators(events)
    assert (conv.count, conv.ns, conv.share) == (2, 40_000, 1)


def test_operator_that_holds_others_has_its_own_time_alone():
    """A Loop of 100 us holds an If of 60 us, which holds two Adds of 20 us."""
    events = []
    for start in (0, 1000, 2000):
        events += [
            run_event(start, 200),
            node("Add", start + 15, 20, "inner"),
            node("Add", start + 35, 20, "inner"),
            node("If", start + 12, 60),
            node("Loop", start + 10, 100),
            node("Relu", start + 110, 5),
        ]
    times = {row.operator: row.ns for row in sum_operators(events)}
    assert times == {"Loop": 40_000, "If": 20_000, "Add": 40_000, "Relu": 5_000}
    nodes = {row.name: (row.operator, row.ns) for row in time_nodes(events)}
    assert nodes == {
        "Loop": ("Loop", 40_000),
        "If": ("If", 20_000),
        "inner": ("Add", 40_000),
        "Relu": ("Relu", 5_000),
    }


def test_nodes_stand_in_the_order_they_run_with_the_median_of_their_runs():
    events = []
    for start, slow in ((0, 900), (2000, 30), (3000, 34), (4000, 800)):
        events += [
            run_event(start, 950),
            node("Conv", start + 5, slow, "late"),
            node("Conv", start + 1, 2, "early"),
        ]
    early, late = time_nodes(events)
    assert (early.name, early.operator, early.ns) == ("early", "Conv", 2_000)
    assert (late.name, late.operator, late.ns) == ("late", "Conv", 34_000)


def test_longest_first_and_ties_by_name():
    events = [event for start in (0, 1000) for event in (
        run_event(start, 100), node("B", start + 1, 5), node("A", start + 10, 5),
        node("C", start + 20, 9),
    )]  # fmt: skip
    assert [row.operator for row in sum_operators(events)] == ["C", "A", "B"]


def compiled(number, ts, dur):
    name = f"OpenVINO-EP-subgraph_{number}"
    return ProfileEvent(
        cat="Node",
        name=f"OpenVINOExecutionProvider_{name}_{number - 1}_kernel_time",
        ts=ts,
        dur=dur,
        args=NodeArgs(op_name=name, provider="OpenVINOExecutionProvider"),
    )


def test_what_a_provider_compiles_is_one_row_and_says_so():
    events = []
    for start in (0, 1000):
        events += [
            run_event(start, 100),
            compiled(1, start + 1, 10),
            node("Det", start + 15, 5),
            compiled(2, start + 30, 20),
        ]
    part, det = sum_operators(events)
    assert (part.operator, part.count, part.ns) == ("OpenVINO-EP-subgraph", 2, 30_000)
    assert part.is_compiled
    assert not det.is_compiled


def test_numbers_of_operators_that_are_none_of_parts_are_kept():
    events = [e for start in (0, 9) for e in (run_event(start, 5), node("My_1", start + 1, 2))]
    assert [row.operator for row in sum_operators(events)] == ["My_1"]


def test_fallback_share_is_of_the_models_nodes(monkeypatch):
    monkeypatch.setattr(operators, "count_left_nodes", lambda *_: (1, 4))
    assert fallback_share("m.onnx", "openvino") == 0.25
    assert fallback_share("m.onnx", "cpu") == 0
    monkeypatch.setattr(operators, "count_left_nodes", lambda *_: (0, 0))
    assert fallback_share("m.onnx", "openvino") == 0


@pytest.fixture
def request_of_layers(tmp_path):
    """Two convolutions that onnxruntime fuses with their Relu, and a Softmax."""
    weight = np.ones((8, 8, 3, 3), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Softmax", ["d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.ones((1, 8, 16, 16), np.float32))
    described = OnnxModel(
        path=str(tmp_path / "m.onnx"),
        signature=Signature(inputs=(), outputs=()),
        opset=17,
        ir_version=8,
        operators={},
        sha256="",
    )
    inputs = {"x": str(tmp_path / "x.npy")}
    return ProfileOperatorsRequest(model=described, inputs=inputs, runs=5)


def test_profiles_the_graph_that_is_run(request_of_layers, tmp_path):
    folder = tmp_path / "stage"
    folder.mkdir()
    profiled = profile_operators(request_of_layers, folder, tell_nobody)
    rows = profiled.operators
    assert len(profiled.nodes) == sum(row.count for row in rows)
    counts = {row.operator: row.count for row in rows}
    assert "Relu" not in counts
    assert sum(count for name, count in counts.items() if "Conv" in name) == 2
    assert counts["Softmax"] == 1
    assert all(row.ns >= 0 for row in rows)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert [row.ns for row in rows] == sorted((row.ns for row in rows), reverse=True)
    assert list(folder.iterdir()) == []


def test_failed_run_names_the_model(request_of_layers, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((1, 7, 16, 16), np.float32))
    with pytest.raises(InferenceError, match=r"m\.onnx failed on inputs"):
        profile_operators(request_of_layers, tmp_path, tell_nobody)
