"""Oracle: the same activations as outputs of the model as it is."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration import blocked_layout
from onnxq.calibration.blocked_layout import uncover_blocks
from onnxq.calibration.exposure import expose, write_exposed
from onnxq.errors import InferenceError
from onnxq.runtime import open_predict

RNG = np.random.default_rng(0)


def weight(name, *shape):
    values = RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def model(nodes, initializers, *, shape=("N", 3, 12, 20), outputs=("y",)):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info("x", TensorProto.FLOAT, shape)],
        [info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def convolutions(*channels, shape=("N", 3, 12, 20)):
    """Make a chain x → Conv → Relu → Conv → Relu … → y of 3x3 convolutions."""
    sizes = (3, *channels)
    nodes, weights = [], []
    for index, size in enumerate(channels, start=1):
        source = "x" if index == 1 else f"r{index - 1}"
        target = "y" if index == len(channels) else f"r{index}"
        nodes += [
            helper.make_node("Conv", [source, f"w{index}"], [f"c{index}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{index}"], [target]),
        ]
        weights.append(weight(f"w{index}", size, sizes[index - 1], 3, 3))
    return model(nodes, weights, shape=shape)


def residual():
    """A net with a branch, a grouped convolution, a Concat and a dense end."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1] * 4),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], pads=[1] * 4, group=32),
        node("Add", ["c2", "r1"], ["a"]),
        node("Relu", ["a"], ["r2"]),
        node("Concat", ["r1", "r2"], ["cat"], axis=1),
        node("MaxPool", ["cat"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["p"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w3"], ["y"], transB=1),
    ]
    weights = [weight("w1", 32, 3, 3, 3), weight("w2", 32, 1, 3, 3), weight("w3", 10, 64)]
    return model(nodes, weights, outputs=("y", "r2"))


def rows_of(count):
    return {"x": np.random.default_rng(1).standard_normal((count, 3, 12, 20)).astype(np.float32)}


def assert_same_values(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        theirs = found[name]
        assert (theirs.shape, theirs.dtype) == (array.shape, array.dtype), name
        for row, their_row in zip(array, theirs, strict=True):
            assert np.sort(row, axis=None).tobytes() == np.sort(their_row, axis=None).tobytes()


CASES = {
    "whole blocks": (convolutions(16, 32, 48), ("r1", "r2")),
    "blocks of 8": (convolutions(8, 24), ("r1",)),
    "channels that fill no block": (convolutions(5, 17, 20), ("r1", "r2")),
    "before and behind a Relu": (convolutions(32, 32), ("c1", "r1", "c2")),
    "the input too": (convolutions(16, 16), ("x", "r1")),
    "branches": (residual(), ("r1", "c2", "r2", "cat", "p", "g", "f", "y")),
    "nothing": (convolutions(16, 16), ()),
}


@pytest.mark.parametrize(("proto", "tensors"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("rows", [1, 3])
def test_each_tensor_has_the_values_of_the_plain_way_whatever_is_watched_with_it(
    proto, tensors, rows, tmp_path
):
    path = tmp_path / "plain.onnx"
    write_exposed(proto, tensors, path)
    expected = open_predict(path)(rows_of(rows))
    made = [name for name in tensors if name != "x"]
    with expose(proto, tmp_path, tensors) as open_part:
        for part in (made, *([name] for name in made)):
            if part:
                found = open_part(part)(rows_of(rows))
                assert_same_values(found, {name: expected[name] for name in part})
    assert [one.name for one in tmp_path.iterdir()] == ["plain.onnx"]


def test_the_model_is_left_as_it_was(tmp_path):
    proto, tensors = CASES["branches"]
    before = proto.SerializeToString(deterministic=True)
    with expose(proto, tmp_path, tensors) as open_part:
        open_part(tensors)
    assert proto.SerializeToString(deterministic=True) == before


def test_what_cannot_be_written_is_not_optimized(tmp_path, monkeypatch):
    """Then, too, values do not depend on what is watched with them: they can be taken out again."""
    proto, tensors = CASES["branches"]
    path = tmp_path / "model.onnx"
    write_exposed(proto, tensors, path)
    expected = open_predict(path, optimize=False)(rows_of(1))

    def fail(*_, **__):
        message = "disk full"
        raise InferenceError(message, code="OQ173", hint="-")

    monkeypatch.setattr(blocked_layout, "open_session", fail)
    with expose(proto, tmp_path, tensors) as open_part:
        for part in (tensors, *([name] for name in tensors)):
            for name, array in open_part(part)(rows_of(1)).items():
                assert array.tobytes() == expected[name].tobytes()  # in order


def test_a_model_that_does_not_load_is_refused_in_its_own_words(tmp_path):
    broken = convolutions(16)
    broken.graph.node[0].op_type = "NoSuchOperator"
    broken.graph.node.append(helper.make_node("Conv", ["x", "w1"], ["z"]))
    with (
        expose(broken, tmp_path, ["c1"]) as open_part,
        pytest.raises(InferenceError, match="NoSuchOperator"),
    ):
        open_part(["c1"])
    assert not list(tmp_path.iterdir())


def nchwc_graph(nodes, outputs):
    info = helper.make_tensor_value_info
    return helper.make_graph(
        nodes, "g",
        [info("x", TensorProto.FLOAT, None)],
        [info(name, TensorProto.FLOAT, None) for name in outputs],
    )  # fmt: skip


def reorder(source, target, channels=16, **attributes):
    return helper.make_node(
        "ReorderOutput", [source], [target],
        domain="com.microsoft.nchwc", channels=channels, **attributes,
    )  # fmt: skip


def test_copies_that_nothing_else_reads_are_taken_out():
    graph = nchwc_graph(
        [
            reorder("t0", "whole"),
            reorder("t1", "read"),
            helper.make_node("Relu", ["read"], ["y"]),
            reorder("t2", "padded", channels=24),
            reorder("t3", "last", channels_last=1),
        ],
        ["whole", "read", "padded", "last", "y"],
    )
    assert uncover_blocks(graph) == {"t0": "whole", "t1": "read"}
    assert [one.name for one in graph.output] == ["t0", "t1", "padded", "last", "y"]
    assert [node.output[0] for node in graph.node] == ["read", "y", "padded", "last"]


def test_a_copy_that_a_subgraph_reads_stays():
    then = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["b"])],
        "then",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    graph = nchwc_graph(
        [
            reorder("t0", "a"),
            helper.make_node("If", ["x"], ["y"], then_branch=then, else_branch=then),
        ],
        ["a", "y"],
    )
    assert uncover_blocks(graph) == {"t0": "a"}
    assert len(graph.node) == 2


def test_one_block_under_two_names_is_returned_twice():
    graph = nchwc_graph([reorder("t", "a"), reorder("t", "b")], ["a", "b"])
    assert uncover_blocks(graph) == {"t": "a"}
    assert [one.name for one in graph.output] == ["t", "b"]
    assert [node.output[0] for node in graph.node] == ["b"]
