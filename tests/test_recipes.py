import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.errors import RecipeError
from onnxq.recipe_kinds import (
    ALIASES,
    BLOCK_SIZES,
    DEFAULT_RECIPES,
    EVERYTHING,
    Auto,
    DynamicInt8,
    Float16,
    Float32,
    MeanSquaredError,
    MinMax,
    Percentile,
    QuantizationScope,
    Recipe,
    StaticQdq,
    WeightOnly,
    alias_of,
    method_tag,
    needs_rows,
    parse_method,
    parse_recipe,
    ranges_key,
    recipe_name,
)

METHODS = st.one_of(
    st.just(MinMax()),
    st.just(MeanSquaredError()),
    st.just(Auto()),
    st.builds(Percentile, st.floats(50, 100, exclude_min=True)),
)
STATIC = st.builds(
    StaticQdq, METHODS, st.booleans(), st.sampled_from(["uint8", "int16"]), st.booleans()
)
RECIPES = st.one_of(
    st.just(Float32()),
    st.just(Float16()),
    st.builds(DynamicInt8, st.booleans()),
    STATIC,
    st.builds(WeightOnly, st.sampled_from([8, 4]), st.sampled_from(BLOCK_SIZES)),
)


@given(RECIPES)
def test_a_name_parses_back_into_its_recipe(recipe):
    assert parse_recipe(recipe_name(recipe)) == recipe


@given(RECIPES, RECIPES)
def test_names_are_those_of_one_recipe(one, other):
    assert (recipe_name(one) == recipe_name(other)) == (one == other)


@given(RECIPES)
def test_recipes_travel_as_json(recipe):
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe


@given(METHODS)
def test_a_method_parses_back_from_its_tag(method):
    assert parse_method(method_tag(method)) == method


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("fp32", "fp32"),
        ("fp16", "fp16"),
        ("int8", "static-uint8-int8-perchannel-mse"),
        ("int8-minmax", "static-uint8-int8-perchannel-minmax"),
        ("int8-percentile", "static-uint8-int8-perchannel-percentile99.99"),
        ("int8-dynamic", "dynamic-uint8-int8-perchannel"),
        ("int16", "static-int16-int8-perchannel-minmax"),
        ("int8-weights", "weights-int8-block128"),
        ("int4-weights", "weights-int4-block32"),
    ],
)
def test_aliases_stand_for_names(alias, name):
    assert recipe_name(ALIASES[alias]) == name
    assert alias_of(parse_recipe(name)) == alias


def test_the_default_recipes_exist():
    assert set(DEFAULT_RECIPES) <= set(ALIASES)


def test_only_static_recipes_need_rows():
    needy = {alias for alias, recipe in ALIASES.items() if needs_rows(recipe)}
    assert needy == {
        *("int8", "int8-minmax", "int8-percentile", "int8-auto", "int8-pertensor", "int8-partial"),
        "int16",
    }


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("int2-weights", "int4-weights"),
        ("weights-int2-block32", "int4-weights"),
        ("int1", "int4-weights"),
        ("binary", "int4-weights"),
        ("INT3-weights", "int4-weights"),
        ("nf4", "int4-weights"),
        ("fp8", "int8"),
        ("bf16", "fp16"),
    ],
)
def test_what_there_is_not_on_purpose_is_refused_with_a_reason(text, instead):
    with pytest.raises(RecipeError, match="on purpose") as caught:
        parse_recipe(text)
    assert caught.value.code == "OQ161"
    assert caught.value.hint == f"Use -r {instead} instead."


def test_a_width_that_no_kernel_has_is_refused_as_a_value_too():
    with pytest.raises(RecipeError, match="int2-weights"):
        WeightOnly(bits=2)


@pytest.mark.parametrize(
    ("text", "guess"),
    [("in8", "int8"), ("int8_dynamic", "int8-dynamic"), ("weights-int4-block23", "")],
)
def test_near_misses_are_suggested(text, guess):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    assert guess in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "static-uint8-int8-perchannel-percentile",
        "static-uint8-int8-perchannel-percentile-1",
        "static-uint8-int8-perchannel-percentile1e1",
        "static-uint8-int8-perchannel-percentilenan",
        "static-uint8-int8-perchannel-percentile50",
        "static-int8-int8-perchannel-mse",
        "static-uint8-int8-percolumn-mse",
        "weights-int8-block",
        "weights-int8-block48",
    ],
)
def test_malformed_names_are_refused(text):
    if text.endswith("-percentile"):
        assert parse_recipe(text) == ALIASES["int8-percentile"]
        return
    with pytest.raises(RecipeError):
        parse_recipe(text)


@pytest.mark.parametrize("percent", [50.0, 0.0, -1.0, 100.5, float("nan"), float("inf")])
def test_a_percentile_is_a_share_above_half(percent):
    with pytest.raises(RecipeError, match="50"):
        Percentile(percent)


def test_equal_ranges_have_equal_keys():
    recipe = ALIASES["int8"]
    assert ranges_key(recipe) == "mse"
    assert ranges_key(StaticQdq(MeanSquaredError(), per_channel=False)) == "mse"
    assert ranges_key(recipe, QuantizationScope(strict=True)) == "mse"
    assert ranges_key(ALIASES["int16"]) == "minmax-int16"


def test_other_scopes_have_other_keys():
    recipe = ALIASES["int8"]
    scopes = [
        EVERYTHING,
        QuantizationScope(io="uint8"),
        QuantizationScope(io="int8"),
        QuantizationScope(operators=("Conv",)),
        QuantizationScope(skip_operators=("Conv",)),
        QuantizationScope(keep_float=("Conv",)),
    ]
    assert len({ranges_key(recipe, scope) for scope in scopes}) == len(scopes)
