"""The partial recipe, with stages stood in for."""

from types import SimpleNamespace

import pytest

from onnxq.errors import QuantizationError
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.pipeline import partial
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.plans import Order
from onnxq.profiling import environment
from onnxq.recipe_kinds import ALIASES
from onnxq.stages import (
    GATE,
    PLACE,
    QUANTIZE,
    FloatRegion,
    GateResult,
    NodePlacement,
    PlaceResult,
    QuantizeResult,
)
from onnxq.targets import X86_VNNI
from onnxq.tensors import Signature
from onnxq.tunings import Tuning

PARTIAL = Order(recipe=ALIASES["int8-partial"])


def model(name):
    return OnnxModel(
        path=f"{name}.onnx",
        signature=Signature(inputs=(), outputs=()),
        opset=17,
        ir_version=8,
        operators={"Conv": 1},
        quantized_nodes=0,
        sha256=name,
    )


def placement(node):
    region = FloatRegion(nodes={node: f"node {node}"}, float_ns=1e5, integer_ns=3e5)
    return NodePlacement(regions=(region,), gain=1.5)


class Stages:
    """Answers what stages would, and takes down what it was asked for."""

    def __init__(self, *placements, is_float_faster=False):
        self.placed = PlaceResult(placements=placements, is_float_faster=is_float_faster)
        self.asked = []

    def run(self, stage, request, subject):
        if stage is PLACE:
            return self.placed
        if stage is GATE:
            return GateResult(gates=())
        assert stage is QUANTIZE
        self.asked.append((subject, request.ranges, tuple(request.slow)))
        return QuantizeResult(
            model=model(f"{subject} {sorted(request.slow)}"),
            size=Size(file_bytes=10, initializer_bytes={}),
            quantized_nodes=1,
            quantizable_nodes=2,
            left_float={},
            findings=(),
        )


def blank_of(stages, target="x86-vnni"):
    return Blank(
        bench=stages,
        model=model("fp32"),
        inputs={},
        ranges={"mse": "ranges.json"},
        tuning=Tuning(target=target),
    )


@pytest.fixture(autouse=True)
def _this_cpu(monkeypatch):
    monkeypatch.setattr(environment, "own_target", lambda: X86_VNNI)


def test_it_takes_the_ranges_of_the_whole_recipe_and_says_what_stays_float():
    stages = Stages(placement("a"))
    made = partial.quantize(blank_of(stages), "int8-partial", PARTIAL)
    assert stages.asked == [
        ("int8", "ranges.json", ()),
        ("int8-partial", "ranges.json", ("a",)),
    ]
    (finding,) = made.findings
    assert (finding.code, finding.evidence["nodes"]) == ("OQ211", "node a")
    assert "0.300 ms as integers, 0.100 ms as float" in finding.message


def test_the_fastest_of_several_is_taken(monkeypatch):
    monkeypatch.setattr(partial, "scout", lambda *_: {"0": 1.0, "1": 1.2})
    stages = Stages(placement("a"), placement("b"))
    made = partial.quantize(blank_of(stages), "int8-partial", PARTIAL)
    assert made.model.sha256 == "int8-partial ['b']"


@pytest.mark.parametrize(("is_float_faster", "word"), [(True, "everywhere"), (False, "nowhere")])
def test_nothing_to_leave_float_is_told(is_float_faster, word):
    blank = blank_of(Stages(is_float_faster=is_float_faster))
    with pytest.raises(QuantizationError) as caught:
        partial.quantize(blank, "int8-partial", PARTIAL)
    assert caught.value.code == "OQ210"
    assert word in caught.value.message


def test_another_cpu_cannot_be_measured():
    with pytest.raises(QuantizationError) as caught:
        partial.quantize(blank_of(Stages(), "arm64"), "int8-partial", PARTIAL)
    assert caught.value.code == "OQ210"
    assert "arm64" in caught.value.message


def test_other_recipes_are_not_divided():
    stages = SimpleNamespace(run=Stages().run)
    made = partial.quantize(blank_of(stages), "int8", Order(recipe=ALIASES["int8"]))
    assert made.model.sha256 == "int8 []"
