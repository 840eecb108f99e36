"""What a bare run tries beyond its first candidates; stages are stood in for."""

from types import SimpleNamespace

import pytest

from onnxq.errors import QuantizationError
from onnxq.measurements import Size, Unjudged
from onnxq.models import OnnxModel
from onnxq.pipeline import searching
from onnxq.pipeline.candidates import Candidate, Site
from onnxq.pipeline.partial import Proposal
from onnxq.pipeline.plans import Order
from onnxq.profiling import environment
from onnxq.recipe_kinds import ALIASES, KeepFloat, QuantizationScope, recipe_name
from onnxq.reports import Failed, Limits, Tried
from onnxq.stages import FloatRegion, NodePlacement, PlaceResult, QuantizeResult
from onnxq.targets import X86
from onnxq.tensors import Signature
from onnxq.tunings import Tuning

SIZE = Size(file_bytes=10, initializer_bytes={})


def model(name, operators=("Conv",)):
    return OnnxModel(
        path=f"{name}.onnx",
        signature=Signature(inputs=(), outputs=()),
        opset=17,
        ir_version=8,
        operators=dict.fromkeys(operators, 1),
        quantized_nodes=0,
        sha256=name,
    )


def candidate(alias):
    return Candidate(
        alias=alias,
        recipe=recipe_name(ALIASES[alias]),
        model=model(alias),
        size=SIZE,
        quantized_nodes=1,
        quantizable_nodes=1,
        left_float={},
        quality=Unjudged(),
        findings=(),
        seconds=1.0,
    )


def result(name):
    return QuantizeResult(
        model=model(name),
        size=SIZE,
        quantized_nodes=1,
        quantizable_nodes=2,
        left_float={},
        findings=(),
    )


PLACEMENT = NodePlacement(
    regions=(FloatRegion(nodes={"a": "stem[0]"}, float_ns=1e5, integer_ns=2e5),), gain=1.2
)


class World:
    """What the stages would answer."""

    def __init__(self, monkeypatch, rates, *, proposals=1, gemm_share=0.0, operators=("Conv",)):
        self.rates, self.built = rates, []
        self.site = self.make_site(operators)
        made = tuple(Proposal(PLACEMENT, result(f"p{n}")) for n in range(proposals))
        placed = PlaceResult(placements=(), gemm_share=gemm_share)
        monkeypatch.setattr(searching, "place_nodes", lambda *_: placed)
        monkeypatch.setattr(searching, "propose", lambda *_: made)
        monkeypatch.setattr(searching, "scout", self.scout)
        monkeypatch.setattr(searching, "judge_candidate", lambda _, alias, *__: candidate(alias))

    def make_site(self, operators, **plan):
        order = {alias: Order(recipe=ALIASES[alias]) for alias in ("int8", "int8-dynamic")}
        told = {
            "recipes_named": False,
            "orders": order,
            "limits": Limits(),
            "tuning": Tuning(target=environment.own_target().name),
            "timing": SimpleNamespace(threads=(1,)),
            **plan,
        }
        foundation = SimpleNamespace(
            converted=SimpleNamespace(quantized_already=""),
            prepared=SimpleNamespace(model=model("fp32", operators)),
        )
        world = self

        class Place(Site):
            @property
            def blank(self):
                return SimpleNamespace(quantize=world.quantize)

        return Place(SimpleNamespace(**told), None, foundation, {})

    def quantize(self, alias, _order):
        self.built.append(alias)
        return result(alias)

    def scout(self, _blank, models, _threads):
        return {name: self.rates[name] for name in models if name in self.rates}

    def search(self):
        first = [candidate(alias) for alias in ("fp32", "int8", "int8-dynamic")]
        return list(searching.search_further(self.site, first))


def test_the_fastest_division_becomes_a_candidate_that_names_its_float_nodes(monkeypatch):
    rates = {"int8": 0.8, "0": 1.0, "1": 1.3, "int8-dynamic": 0.9}
    (found,) = World(monkeypatch, rates, proposals=2).search()
    assert isinstance(found, Candidate)
    assert found.alias == "int8-partial"
    (order,) = found.rebuilt_by
    assert order.recipe == ALIASES["int8"]
    assert order.scope.why_float("stem[0]", "Conv")
    assert not order.scope.why_float("stem0", "Conv")


@pytest.mark.parametrize(
    ("rates", "speed", "rival"),
    [
        (
            {"int8": 2.0, "0": 2.03},
            "2.03x",
            "int8 at 2.00x",
        ),
        (
            {"int8": 0.5, "0": 1.01},
            "1.01x",
            "fp32 itself",
        ),
    ],
)
def test_one_that_is_no_faster_is_a_row_that_says_so(monkeypatch, rates, speed, rival):
    (found,) = World(monkeypatch, rates).search()
    assert isinstance(found, Tried)
    assert found.reason == (
        f"{speed} the speed of fp32 in a short measurement, no faster, or hardly, than {rival}"
    )
    assert found.speed_ratio == rates["0"]


def test_one_scale_a_weight_is_tried_where_gemm_takes_the_time(monkeypatch):
    rates = {"int8": 2.6, "int8-pertensor": 3.2}
    undivided, found = World(monkeypatch, rates, proposals=0, gemm_share=0.9).search()
    assert isinstance(undivided, Tried)
    assert undivided.reason.startswith("integers are nowhere slower than float here")
    assert found.alias == "int8-pertensor"
    assert World(monkeypatch, rates, proposals=0, gemm_share=0.1).search() == [undivided]


def test_weights_alone_are_tried_where_nothing_is_fast_and_matrices_multiply(monkeypatch):
    slow = {"int8": 0.9, "int8-dynamic": 1.0, "int8-weights": 1.2}
    _, found = World(monkeypatch, slow, proposals=0, operators=("MatMul",)).search()
    assert found.alias == "int8-weights"
    assert [finding.code for finding in found.findings] == ["OQ212"]
    partial = ["int8-partial"]
    assert [one.alias for one in World(monkeypatch, slow, proposals=0).search()] == partial
    fast = {**slow, "int8-dynamic": 2.0}
    found = World(monkeypatch, fast, proposals=0, operators=("MatMul",)).search()
    assert [one.alias for one in found] == partial


def test_what_fails_costs_one_row(monkeypatch):
    world = World(monkeypatch, {})

    def fail(*_):
        message = "it broke."
        raise QuantizationError(message, code="OQ171", hint="Report it.")

    monkeypatch.setattr(searching, "propose", fail)
    (found,) = world.search()
    assert isinstance(found, Failed)
    assert (found.alias, found.code) == ("int8-partial", "OQ171")


def test_named_recipes_strict_ones_and_other_cpus_are_not_searched_for(monkeypatch):
    plan = {
        "recipes_named": False,
        "orders": {"int8": Order(recipe=ALIASES["int8"])},
        "tuning": Tuning(target="x86"),
    }
    strict = Order(recipe=ALIASES["int8"], scope=QuantizationScope(strict=True))
    monkeypatch.setattr(environment, "own_target", lambda: X86)
    assert searching.searches(SimpleNamespace(**plan))
    assert not searching.searches(SimpleNamespace(**plan | {"recipes_named": True}))
    assert not searching.searches(SimpleNamespace(**plan | {"orders": {"int8": strict}}))
    assert not searching.searches(SimpleNamespace(**plan | {"tuning": Tuning(target="arm64")}))


def test_what_has_a_partial_recipe():
    divided = {a for a, recipe in ALIASES.items() if searching.can_be_divided(Order(recipe=recipe))}
    assert divided == {"int8", "int8-minmax", "int8-percentile", "int8-auto", "int8-pertensor"}


def test_a_keep_float_glob_takes_names_literally():
    scope = QuantizationScope(keep_float=Proposal(PLACEMENT, result("p")).keep_float)
    assert isinstance(scope.decide("stem[0]", "Conv"), KeepFloat)
    assert not isinstance(scope.decide("stem0", "Conv"), KeepFloat)
