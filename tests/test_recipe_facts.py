import pytest

from onnxq.errors import RecipeError
from onnxq.recipe_facts import check_fits, describe_recipe
from onnxq.recipe_kinds import (
    ALIASES,
    EVERYTHING,
    KeepFloat,
    MinMax,
    QuantizationScope,
    Quantize,
    Rule,
    needs_rows,
    parse_recipe,
    recipe_name,
)


@pytest.mark.parametrize("alias", ALIASES)
def test_every_recipe_says_what_it_is(alias):
    facts = describe_recipe(ALIASES[alias])
    assert facts.alias == alias
    assert parse_recipe(facts.name) == ALIASES[alias]
    assert facts.needs_rows == needs_rows(ALIASES[alias])
    for sentence in (facts.summary, facts.speed):
        assert sentence
        assert not sentence.endswith(".")
    assert float(facts.min_runtime) >= 1.17


def test_only_weights_recipes_leave_the_standard_domain():
    foreign = {alias for alias, r in ALIASES.items() if describe_recipe(r).domain != "ai.onnx"}
    assert foreign == {"int8-weights", "int4-weights"}


def test_words_follow_the_parameters():
    percentile = describe_recipe(parse_recipe("static-uint8-int8-pertensor-percentile99.9"))
    assert percentile.alias == recipe_name(parse_recipe(percentile.name))
    assert "99.9 %" in percentile.summary
    assert "one scale each" in percentile.summary
    assert "blocks of up to 128" in describe_recipe(parse_recipe("weights-int4-block128")).summary


@pytest.mark.parametrize("alias", ALIASES)
def test_the_default_scope_fits_every_recipe(alias):
    check_fits(ALIASES[alias], EVERYTHING)
    check_fits(ALIASES[alias], QuantizationScope(rules=(Rule(KeepFloat(), nodes="a"),)))


@pytest.mark.parametrize(
    ("alias", "scope", "word"),
    [
        ("int8-dynamic", QuantizationScope(io="uint8"), "int8-dynamic has no uint8"),
        ("int16", QuantizationScope(io="int8"), "activations are not uint8"),
        ("fp16", QuantizationScope(io="int8"), "fp16 has no int8"),
        (
            "int8-weights",
            QuantizationScope(rules=(Rule(Quantize(ranges=MinMax())),)),
            "asks for ranges",
        ),
        (
            "int8-dynamic",
            QuantizationScope(rules=(Rule(Quantize(granularity="pertensor")),)),
            "asks for granularity",
        ),
        ("int8", QuantizationScope(operators=("Conv",), skip_operators=("Conv",)), "both"),
    ],
)
def test_contradictions_are_usage_errors(alias, scope, word):
    with pytest.raises(RecipeError, match=word) as caught:
        check_fits(ALIASES[alias], scope)
    assert caught.value.code == "OQ100"
    assert caught.value.exit_code == 2
