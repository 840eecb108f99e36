"""What is kept float stays float in every recipe; what was asked for and stays float is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from onnxq.errors import QuantizationError, RecipeError, StrictError
from onnxq.graph import load_proto
from onnxq.graph.quantized_tensors import list_quantized
from onnxq.recipe_kinds import (
    ALIASES,
    KeepFloat,
    MinMax,
    Percentile,
    QuantizationScope,
    Quantize,
    Rule,
    StaticQdq,
)
from onnxq.runtime import open_predict
from onnxq.stages import RangesAsked

RECIPES = [alias for alias in ALIASES if alias != "fp32"]


@pytest.mark.parametrize("alias", RECIPES)
@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (QuantizationScope(keep_float=("ge*",)), "keep_float 'ge*'"),
        (QuantizationScope(rules=(Rule(KeepFloat(), nodes="gemm"),)), "rule 1"),
        (
            QuantizationScope(rules=(Rule(Quantize(), nodes="head"),), operators=("MatMul",)),
            "only op",
        ),
    ],
    ids=["keep_float", "rule", "operators"],
)
def test_what_is_kept_float_stays_float(kit_of, alias, scope, why):
    kit = kit_of("mlp")
    result = kit.quantize(ALIASES[alias], scope)
    assert result.left_float.keys() == {"gemm"}
    assert result.left_float["gemm"].startswith(why)
    errors = kit.weight_errors(result)
    assert errors.pop("w2") == 0.0
    assert all(error > 0 for error in errors.values())
    assert len(errors) == 2


@pytest.mark.parametrize("alias", RECIPES)
def test_operators_can_be_skipped(kit_of, alias):
    result = kit_of("mlp").quantize(ALIASES[alias], QuantizationScope(skip_operators=("Gemm",)))
    assert result.left_float.keys() == {"gemm", "head"}
    assert result.quantized_nodes == 1


@pytest.mark.parametrize("alias", RECIPES)
def test_a_scope_of_nothing_is_refused(kit_of, alias):
    with pytest.raises(RecipeError) as caught:
        kit_of("mlp").quantize(ALIASES[alias], QuantizationScope(operators=("Conv",)))
    assert caught.value.code == "OQ164"


def test_where_all_was_asked_to_stay_float_the_wishes_are_the_cause(kit_of):
    with pytest.raises(QuantizationError) as caught:
        kit_of("mlp").quantize(ALIASES["int8"], QuantizationScope(keep_float=("*",)))
    assert caught.value.code == "OQ163"
    assert "keep_float '*' keeps it float" in caught.value.message
    assert "loosen --keep-float" in caught.value.hint


def test_granularity_by_rule(kit_of):
    kit = kit_of("mlp")
    for per_channel, other in ((True, "pertensor"), (False, "perchannel")):
        recipe = StaticQdq(MinMax(), per_channel=per_channel)
        scope = QuantizationScope(rules=(Rule(Quantize(granularity=other), nodes="gemm"),))
        proto = load_proto(kit.quantize(recipe, scope).model.path)
        scales = {t.name: t.scales.size for t in list_quantized(proto) if t.role == "weight"}
        whole = {"w1": 128, "w2": 48, "w3": 10}
        expected = {
            name: size if per_channel != (name == "w2") else 1 for name, size in whole.items()
        }
        assert scales == expected


def test_range_methods_by_rule_reach_the_activations_of_their_nodes(kit_of):
    kit = kit_of("mlp")
    rule = Rule(Quantize(ranges=Percentile(90.0)), nodes="matmul")
    asked = [
        RangesAsked(recipe=ALIASES["int8-minmax"], scope=QuantizationScope(rules=rules))
        for rules in ((), (rule,))
    ]
    calibrated = kit.calibrate(*asked)
    plain, ruled = (
        kit_ranges(path) for _, path in sorted(calibrated.ranges.items(), key=lambda e: len(e[0]))
    )
    moved = {name for name in plain if plain[name] != ruled[name]}
    assert "x" in moved
    assert "g2" not in moved
    assert plain.keys() == ruled.keys()


def kit_ranges(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["ranges"]


@pytest.mark.parametrize("alias", [alias for alias in RECIPES if alias != "int8-partial"])
def test_strict_passes_where_everything_asked_for_is_integer(kit_of, alias):
    result = kit_of("mlp").quantize(ALIASES[alias], QuantizationScope(strict=True))
    assert result.left_float == {}


def test_strict_contradicts_a_recipe_that_leaves_nodes_float(kit_of):
    with pytest.raises(RecipeError, match="leaves nodes float on purpose") as caught:
        kit_of("mlp").quantize(ALIASES["int8-partial"], QuantizationScope(strict=True))
    assert caught.value.hint == "Use -r int8, or leave --strict out."


def test_strict_does_not_ask_for_what_the_scope_keeps_float(kit_of):
    scope = QuantizationScope(strict=True, keep_float=("gemm",), skip_operators=("MatMul",))
    assert kit_of("mlp").quantize(ALIASES["int8"], scope).quantized_nodes == 1


def test_strict_names_what_stays_float(kit_of):
    with pytest.raises(StrictError) as caught:
        kit_of("lstm").quantize(ALIASES["int8"], QuantizationScope(strict=True))
    error = caught.value
    assert (error.code, error.exit_code) == ("OQ302", 3)
    assert "2 nodes of 3 that were asked for stay float" in error.message
    assert "LSTM 'cell': only dynamic int8 has an integer kernel for it" in error.message
    assert "--keep-float 'embedding'" in error.hint


@pytest.mark.parametrize(
    ("operators", "left"),
    [
        (("Conv", "Add", "MaxPool", "GlobalAveragePool", "Gemm"), ""),
        (("Conv", "Softmax"), "Softmax 'softmax': the recipe has nothing for its type"),
        (("Conv", "Add"), "Add 'add': nothing integer reads its result"),
    ],
)
def test_strict_knows_operators_that_do_not_count(kit_of, operators, left):
    scope = QuantizationScope(strict=True, operators=operators)
    if not left:
        assert kit_of("cnn").quantize(ALIASES["int8"], scope).quantized_nodes == 4
        return
    with pytest.raises(StrictError, match=left):
        kit_of("cnn").quantize(ALIASES["int8"], scope)


def test_strict_asks_for_what_a_rule_speaks_of(kit_of):
    rule = Rule(Quantize(), nodes="cell")
    scope = QuantizationScope(strict=True, operators=("Gemm",), rules=(rule,))
    with pytest.raises(StrictError, match="1 node of 2 that were asked for stays float: LSTM"):
        kit_of("lstm").quantize(ALIASES["int8"], scope)


def test_a_scope_needs_fewer_ranges(kit_of):
    kit = kit_of("cnn")
    whole = kit.calibrate(RangesAsked(recipe=ALIASES["int8"]))
    scope = QuantizationScope(operators=("Gemm",))
    part = kit.calibrate(RangesAsked(recipe=ALIASES["int8"], scope=scope))
    assert part.effort.tensors < whole.effort.tensors
    found = open_predict(kit.quantize(ALIASES["int8"], scope).model.path)(kit.rows(1))["y"]
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
