"""What options about rewrites come to."""

import pytest
from onnx import TensorProto, helper

from onnxq.graph import write_proto
from onnxq.graph.rewrite_remarks import remark_tuning, remark_unmatched
from onnxq.graph.rewrites import FOR_INTEGERS, REWRITES
from onnxq.preparation import prepare
from onnxq.quantization.integer_rewrites import rewrite_integers
from onnxq.stages import PrepareRequest
from onnxq.tunings import Tuning


@pytest.mark.parametrize(
    ("tuning", "words"),
    [
        (Tuning(added=("complete-sums",)), "nothing is done, it is for onnxq repair only"),
        (
            Tuning(added=("multiply-in-tiles",), target="arm64"),
            "it is for x86-amx, and is taken for arm64 because it was asked for",
        ),
        (Tuning(added=("fold-affine",)), "it is taken anyway"),
        (Tuning(skipped=("complete-sums",)), "nothing changes, it is for onnxq repair only"),
        (Tuning(skipped=("fuse-attention",)), "nothing changes, it is off unless asked for"),
        (
            Tuning(skipped=("multiply-in-tiles",), target="arm64"),
            "nothing changes, it is not for arm64",
        ),
    ],
)
def test_an_option_that_changes_nothing_is_said(tuning, words):
    (finding,) = remark_tuning(tuning)
    assert finding.code == "OQ213"
    assert finding.message.endswith(f": {words}.")


@pytest.mark.parametrize(
    "tuning", [Tuning(), Tuning(added=("fuse-attention",)), Tuning(skipped=("fold-affine",))]
)
def test_other_options_are_not_remarked_on(tuning):
    assert remark_tuning(tuning) == ()


def test_what_matched_is_not_remarked_on():
    tuning = Tuning(added=("fuse-attention",))
    assert remark_unmatched(REWRITES, {"fuse attention"}, tuning) == ()
    (finding,) = remark_unmatched(REWRITES, (), tuning)
    assert finding.message == "--rewrite fuse-attention: nothing matched in this model."
    assert remark_unmatched(FOR_INTEGERS, (), tuning) == ()


def _relu():
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_preparation_says_that_nothing_matched(tmp_path):
    model = write_proto(_relu(), tmp_path / "m.onnx")
    tuning = Tuning(added=("fuse-attention",), skipped=("complete-sums",))
    found = prepare(PrepareRequest(model=model, tuning=tuning), tmp_path, lambda _: None).findings
    assert [(one.code, one.subject) for one in found] == [
        ("OQ213", "complete-sums"),
        ("OQ213", "fuse-attention"),
    ]


def test_integer_rewrites_say_that_nothing_matched():
    (finding,) = rewrite_integers(_relu(), Tuning(added=("multiply-in-tiles",))).findings
    assert finding.subject == "multiply-in-tiles"
