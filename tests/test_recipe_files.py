import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.errors import RecipeError
from onnxq.recipe_files import (
    check_names,
    is_recipe_file,
    parse_recipes,
    read_recipe_file,
    render_recipes,
    resolve_recipes,
)
from onnxq.recipe_kinds import (
    ALIASES,
    AsRecipe,
    KeepFloat,
    MinMax,
    NamedRecipe,
    Percentile,
    QuantizationScope,
    Quantize,
    Rule,
    StaticQdq,
)

EXAMPLE = """
[recipe.careful]
recipe = "int8"
operator = ["Conv", "Gemm"]
skip-operator = ["Softmax"]
keep_float = ["head/*"]
io = "uint8"
strict = true

[[recipe.careful.rule]]
nodes = "blocks/0/*"
do = "keep-float"

[[recipe.careful.rule]]
operator = "Conv"
do = "quantize"
granularity = "pertensor"
ranges = "percentile99.9"

[recipe.plain]
recipe = "weights-int4-block64"
"""
CAREFUL = NamedRecipe(
    name="careful",
    recipe=ALIASES["int8"],
    scope=QuantizationScope(
        operators=("Conv", "Gemm"),
        skip_operators=("Softmax",),
        keep_float=("head/*",),
        io="uint8",
        strict=True,
        rules=(
            Rule(KeepFloat(), nodes="blocks/0/*"),
            Rule(Quantize("pertensor", Percentile(99.9)), operator="Conv"),
        ),
    ),
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
METHODS = st.one_of(st.just(MinMax()), st.builds(Percentile, st.floats(50, 100, exclude_min=True)))
FINE = st.builds(
    Quantize,
    granularity=st.sampled_from(["recipe", "perchannel", "pertensor"]),
    ranges=st.one_of(st.just(AsRecipe()), METHODS),
)


def scopes(io, actions):
    rules = st.builds(
        Rule,
        action=st.one_of(st.just(KeepFloat()), actions),
        nodes=st.one_of(st.just(""), WORDS),
        operator=st.one_of(st.just(""), WORDS),
    )
    words = st.lists(WORDS, max_size=3).map(tuple)
    return st.builds(
        QuantizationScope,
        operators=words,
        skip_operators=words.map(lambda texts: tuple(f"not {text}" for text in texts)),
        keep_float=words,
        io=st.sampled_from(io),
        strict=st.booleans(),
        rules=st.lists(rules, max_size=3).map(tuple),
    )


def named(recipes, scope):
    name = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True).filter(
        lambda name: name != "fp32"
    )
    return st.builds(NamedRecipe, name=name, recipe=recipes, scope=scope)


NAMED = st.one_of(
    named(st.builds(StaticQdq, METHODS, st.booleans()), scopes(["float", "uint8", "int8"], FINE)),
    named(st.sampled_from(list(ALIASES.values())), scopes(["float"], st.just(Quantize()))),
).filter(lambda one: not (one.scope.strict and one.recipe == ALIASES["int8-partial"]))


@settings(max_examples=50)
@given(st.lists(NAMED, min_size=1, max_size=3, unique_by=lambda named: named.name))
def test_what_is_rendered_parses_back(recipes):
    assert parse_recipes(render_recipes(recipes), "x.toml") == tuple(recipes)


def test_the_grammar_in_its_docstring(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    careful, plain = read_recipe_file(path)
    assert careful == CAREFUL
    assert plain.scope == QuantizationScope()
    assert resolve_recipes(str(path)) == (careful, plain)
    assert resolve_recipes(f"{path}:careful") == (careful,)


def test_a_name_that_is_no_file_is_a_recipe():
    (named,) = resolve_recipes("static-uint8-int8-perchannel-mse")
    assert named == NamedRecipe(name="int8", recipe=ALIASES["int8"])
    assert [is_recipe_file(t) for t in ("int8", "a.toml", "a.toml:b", "C:\\a.toml")] == [
        False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[recipe.a", "x.toml is not TOML", ""),
        ("", "x.toml: there is no recipe in it", "[recipe.NAME]"),
        ("recipes = 1", "there is no key 'recipes'", "'recipe'"),
        ("recipe = 1", "recipe is 1, expected a table", ""),
        ("[recipe]\na = 1", "a is 1, expected a table", ""),
        ("[recipe.a]\nio = 'int8'", "[recipe.a]: there is no recipe", ""),
        ("[recipe.A]\nrecipe = 'int8'", "no name of a recipe", ""),
        ("[recipe.a]\nrecipe = 'in8'", "[recipe.a]: there is no recipe 'in8'", "'int8'"),
        ("[recipe.a]\nrecipe = 'int8'\nkeep-flot = []", "no key 'keep-flot'", "'keep_float'"),
        ("[recipe.a]\nrecipe = 'int8'\nkeep-float = []\nkeep_float = []", "twice", ""),
        ("[recipe.a]\nrecipe = 'int8'\nkeep_float = 'x'", "expected a list of texts", ""),
        ("[recipe.a]\nrecipe = 'int8'\noperator = [1]", "expected a list of texts", ""),
        ("[recipe.a]\nrecipe = 'int8'\nstrict = 1", "expected true or false", ""),
        ("[recipe.a]\nrecipe = 'int8'\nio = 'uint16'", "io is 'uint16'", "'uint8'"),
        ("[recipe.a]\nrecipe = 'int8'\nio = 8", "expected a text", ""),
        ("[recipe.a]\nrecipe = 'fp16'\nio = 'int8'", "fp16 has no int8", "--io"),
        ("[recipe.a]\nrecipe = 'int8'\nrule = 3", "expected tables", ""),
        (
            "[recipe.a]\nrecipe = 'int8'\n[[recipe.a.rule]]\ndo = 'quantise'",
            "[recipe.a.rule 1]: do is 'quantise'",
            "'quantize'",
        ),
        (
            "[recipe.a]\nrecipe = 'int8'\n[[recipe.a.rule]]\nranges = 'entropy'",
            "[recipe.a.rule 1]: there is no range method 'entropy'",
            "minmax",
        ),
        (
            "[recipe.a]\nrecipe = 'int8'\n[[recipe.a.rule]]\ndo = 'keep_float'\nranges = 'mse'",
            "ranges speaks of what is quantized",
            "",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, message, hint):
    with pytest.raises(RecipeError) as caught:
        parse_recipes(text, "x.toml")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_name_that_the_file_lacks_is_guessed(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    with pytest.raises(RecipeError, match="no recipe 'carefull'") as caught:
        resolve_recipes(f"{path}:carefull")
    assert "Did you mean 'careful'?" in caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"mine\.toml cannot be read") as caught:
        resolve_recipes(str(tmp_path / "mine.toml"))
    assert caught.value.code == "OQ101"


def test_fp32_is_the_float_model_and_no_other():
    (plain,) = parse_recipes('[recipe.fp32]\nrecipe = "fp32"\n', "x.toml")
    assert plain.recipe == ALIASES["fp32"]
    with pytest.raises(RecipeError, match="fp32 is the name of the float model"):
        parse_recipes('[recipe.fp32]\nrecipe = "int8"\n', "x.toml")


def test_one_name_stands_for_one_recipe():
    plain = NamedRecipe(name="int8", recipe=ALIASES["int8"])
    check_names([plain, plain, CAREFUL])
    with pytest.raises(RecipeError, match="two different recipes are named 'int8'") as caught:
        check_names([plain, NamedRecipe(name="int8", recipe=ALIASES["int8-minmax"])])
    assert '[recipe."my-int8"]' in caught.value.hint
