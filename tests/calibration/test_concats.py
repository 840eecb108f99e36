"""Concats of unlike tensors stay float; statistics of Concats are sums."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.calibration.concat_statistics import (
    KnownStatistics,
    clip_statistics,
    join_statistics,
)
from onnxq.calibration.concats import describe_settled, describe_unlike, settle_concats
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.uses import find_uses
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import MeanSquaredError, MinMax, QuantizationScope, StaticQdq
from onnxq.runtime import open_predict

node = helper.make_node


def collect(rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def assert_equal(found, expected):
    for name in ("counts", "row_seen", "row_lows", "row_highs", "row_non_finite"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


finite = arrays(np.float32, (3, 7), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


@given(finite, finite)
@settings(max_examples=50, deadline=None)
def test_statistics_of_tensors_side_by_side_are_those_of_the_whole(one, other):
    found = join_statistics((collect(one), collect(other)))
    assert_equal(found, collect(np.concatenate([one, other], axis=1)))


@given(finite, st.sampled_from([(0.0, np.inf), (0.0, 6.0), (-1.0, 2.5), (-np.inf, 0.0)]))
@settings(max_examples=50, deadline=None)
def test_statistics_behind_a_clip_are_those_of_what_it_makes(rows, bounds):
    found = clip_statistics(collect(rows), bounds)
    clipped = np.clip(rows, *np.float32(bounds)) + np.float32(0.0)  # -0 becomes 0
    expected = collect(clipped)
    assert found.count == expected.count
    assert found.zeros == expected.zeros
    np.testing.assert_array_equal(np.delete(found.counts, [0, 0x8000]),
                                  np.delete(expected.counts, [0, 0x8000]))  # fmt: skip
    np.testing.assert_array_equal(found.row_lows, expected.row_lows)
    np.testing.assert_array_equal(found.row_highs, expected.row_highs)


def test_a_row_that_was_left_out_stays_left_out_behind_a_clip():
    rows = np.ones((2, 3), np.float32)
    rows[1, 0] = np.nan
    found = clip_statistics(collect(rows), (0.0, 6.0))
    assert found.row_folded.tolist() == [True, False]
    assert found.row_non_finite.tolist() == [0, 1]


class Head:
    """A detector's head: features, boxes up to some size, scores between 0 and 1, both decoded."""

    def __init__(self, box_size=640.0, score_weight=1.0, tail=()):
        generator = np.random.default_rng(0)

        def weight(name, *shape):
            values = generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            return numpy_helper.from_array(values.astype(np.float32), name)

        boxes = np.abs(numpy_helper.to_array(weight("w_b", 4, 8, 1, 1))) * box_size / 4
        decode = np.zeros((6, 6, 1, 1), np.float32)
        decode[:4, :4, 0, 0] = [[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]]
        decode[4:, 4:, 0, 0] = np.eye(2) * score_weight
        nodes = [
            node("Conv", ["x", "w_a"], ["a"], "features", pads=[1] * 4),
            node("Relu", ["a"], ["f"], "relu"),
            node("Conv", ["f", "w_b"], ["b"], "boxes_conv"),
            node("Relu", ["b"], ["boxes"], "boxes_relu"),
            node("Conv", ["f", "w_s"], ["s"], "scores_conv"),
            node("Clip", ["s", "zero", "one"], ["scores"], "scores_clip"),
            node("Concat", ["boxes", "scores"], ["joined"], "join", axis=1),
            *(tail or [node("Conv", ["joined", "decode"], ["y"], "decode")]),
        ]
        graph = helper.make_graph(
            nodes,
            "head",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [
                weight("w_a", 8, 3, 3, 3),
                numpy_helper.from_array(boxes.astype(np.float32), "w_b"),
                weight("w_s", 2, 8, 1, 1),
                numpy_helper.from_array(decode, "decode"),
                numpy_helper.from_array(np.float32(0), "zero"),
                numpy_helper.from_array(np.float32(1), "one"),
            ],
        )
        self.proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )
        self.rows = generator.standard_normal((24, 3, 8, 8)).astype(np.float32)

    def activations(self, names):
        """Compute activations with another implementation of the operators: the oracle."""
        visible = onnx.ModelProto()
        visible.CopyFrom(self.proto)
        hidden = [name for name in names if name not in {"x", "y"}]
        visible.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in hidden
        )
        values = ReferenceEvaluator(visible).run(["y", *hidden], {"x": self.rows})
        return {"x": self.rows, **dict(zip(["y", *hidden], values, strict=True))}

    def settled(self, method=MinMax(), scope=QuantizationScope(), levels=255):  # noqa: B008 - frozen
        def find(kept):
            return find_qdq_edges(self.proto.graph, scope, kept_float=kept)

        def choose(edges, leader, statistics):
            use = find_uses(self.proto.graph, edges)[leader]
            activation = "uint8" if levels == 255 else "int16"
            return choose_range(statistics, method, use, activation=activation)

        values = self.activations(find(()).observed)
        statistics = {name: collect(values[name]) for name in find(()).observed}
        return settle_concats(find, KnownStatistics(statistics), choose, levels=levels)

    def quantized(self, settled, folder, scope=QuantizationScope()):  # noqa: B008 - frozen
        onnx.save(self.proto, folder / "float.onnx")
        ranges = TensorRanges("minmax", settled.ranges, "", settled.kept_float)
        recipe = StaticQdq(ranges=MinMax())
        return quantize_static_qdq(
            folder / "float.onnx", folder / "int8.onnx", recipe, ranges, scope
        )

    def outputs(self, folder):
        (expected,) = ReferenceEvaluator(self.proto).run(None, {"x": self.rows})
        return expected, open_predict(folder / "int8.onnx")({"x": self.rows})["y"]


def sqnr_db(reference, found):
    signal = ((reference - reference.mean(axis=0)) ** 2).sum()
    return 10 * np.log10(signal / ((reference - found) ** 2).sum())


@pytest.mark.parametrize("method", [MinMax(), MeanSquaredError()])
def test_scores_beside_boxes_survive(method, tmp_path):
    head = Head()
    settled = head.settled(method)
    assert settled.kept_float == ("joined", "y")
    result = head.quantized(settled, tmp_path)
    assert set(result.count.left_float) == {"decode"}
    assert "no one scale" in result.count.left_float["decode"]
    expected, found = head.outputs(tmp_path)
    assert sqnr_db(expected[:, :4], found[:, :4]) > 25
    assert sqnr_db(expected[:, 4:], found[:, 4:]) > 25


def test_with_one_scale_the_scores_would_be_lost(tmp_path):
    """What is prevented, as an ablation."""
    head = Head()
    edges = find_qdq_edges(head.proto.graph)
    values = head.activations(edges.collected)
    ranges = {
        name: choose_range(collect(values[leader]), MinMax())
        for name, leader in edges.leaders.items()
    }
    head.quantized(replace(head.settled(), ranges=ranges, kept_float=()), tmp_path)
    expected, found = head.outputs(tmp_path)
    assert sqnr_db(expected[:, 4:], found[:, 4:]) < 5


def test_the_finding_names_concat_tensors_and_ranges():
    (unlike,) = Head().settled().unlike
    finding = describe_unlike(unlike)
    assert (finding.code, finding.subject) == ("OQ403", "join")
    assert finding.evidence["tensor"] == "scores"
    assert finding.evidence["kept_float"] == "joined, y"
    assert finding.evidence["range of scores"] == "0 to 1"
    assert "boxes 0 to " in finding.message
    assert finding.evidence["kept_db"] < 5


def test_a_concat_that_several_recipes_keep_float_is_told_once():
    head = Head()
    (finding,) = describe_settled([head.settled(), head.settled(MeanSquaredError())])
    assert finding.subject == "join"


@pytest.mark.parametrize("box_size", [1.0, 3.0])
def test_alike_tensors_share_a_scale_and_stay_integer(box_size, tmp_path):
    head = Head(box_size)
    settled = head.settled()
    assert (settled.kept_float, settled.unlike) == ((), ())
    assert settled.ranges["boxes"] == settled.ranges["joined"]
    result = head.quantized(settled, tmp_path)
    assert result.count.left_float == {}
    expected, found = head.outputs(tmp_path)
    assert sqnr_db(expected[:, 4:], found[:, 4:]) > 20


def test_sums_equal_what_the_whole_shows():
    head = Head(box_size=1.0)
    settled = head.settled()
    assert_equal(settled.statistics["joined"], collect(head.activations(["joined"])["joined"]))


def test_a_narrow_part_that_hardly_counts_may_be_rough():
    """Each output channel reads boxes too, with weights that make scores a detail."""
    mix = np.abs(np.random.default_rng(2).standard_normal((5, 6, 1, 1))).astype(np.float32)
    head = Head()
    for tensor in head.proto.graph.initializer:
        if tensor.name == "decode":
            tensor.CopyFrom(numpy_helper.from_array(mix, "decode"))
    assert head.settled().kept_float == ()
    mix[:, 4:] *= 640.0
    for tensor in head.proto.graph.initializer:
        if tensor.name == "decode":
            tensor.CopyFrom(numpy_helper.from_array(mix, "decode"))
    assert head.settled().kept_float == ("joined", "y")


def test_sixteen_bits_hold_both():
    assert Head().settled(levels=65534).kept_float == ()


def test_an_integer_output_of_unlike_parts_stays_float(tmp_path):
    head = Head(tail=[node("Transpose", ["joined"], ["y"], "transpose", perm=[0, 2, 3, 1])])
    assert head.settled().kept_float == ()
    scope = QuantizationScope(io="uint8")
    settled = head.settled(scope=scope)
    assert settled.kept_float == ("y",)
    finding = describe_unlike(settled.unlike[0])
    assert (finding.code, finding.subject, finding.severity) == ("OQ403", "y", "warning")
    result = head.quantized(settled, tmp_path, scope)
    assert [tensor.name for tensor in result.io] == ["x"]
    (output,) = result.model.signature.outputs
    assert output.dtype == "float32"


def test_parts_that_were_led_by_the_concat_get_ranges_of_their_own():
    """A pool between: what it makes was observed, and decides for what it reads."""
    head = Head(tail=[
        node("MaxPool", ["boxes"], ["pb"], "pool_b", kernel_shape=[2, 2]),
        node("MaxPool", ["scores"], ["ps"], "pool_s", kernel_shape=[2, 2]),
        node("Concat", ["pb", "ps"], ["pooled"], "join_pooled", axis=1),
        node("Conv", ["pooled", "decode"], ["y"], "decode"),
    ])  # fmt: skip
    settled = head.settled()
    assert settled.kept_float == ("pooled", "y")
    values = head.activations(["pb", "ps"])
    assert settled.ranges["boxes"] == settled.ranges["pb"]
    assert settled.ranges["pb"].high == pytest.approx(float(values["pb"].max()))
    assert settled.ranges["scores"].high == 1.0
