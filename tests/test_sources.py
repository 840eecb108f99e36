import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.errors import UsageError
from onnxq.sources import (
    Factory,
    InputDeclaration,
    KerasFile,
    parse_input,
    parse_inputs,
    render_input,
    source_path,
)
from onnxq.tensors import DTYPES

SYMBOLS = st.sampled_from(["N", "batch", "rows_2", "T", "_"])
DIMS = st.one_of(st.integers(1, 10_000), SYMBOLS)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.:/]{0,11}[A-Za-z_]", fullmatch=True)
SHAPES = st.lists(DIMS, min_size=1, max_size=5).map(tuple)
INT_VALUES = st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted)


@st.composite
def declarations(draw):
    dtype = draw(st.sampled_from(DTYPES))
    name, shape = draw(NAMES), draw(SHAPES)
    if dtype in {"int8", "int16", "int32", "int64"} and draw(st.booleans()):
        low, high = draw(INT_VALUES)
        return InputDeclaration(name, shape, dtype, low, high)
    return InputDeclaration(name, shape, dtype)


@given(declarations())
def test_a_rendered_declaration_parses_back(declaration):
    text = render_input(declaration)
    assert render_input(parse_input(text)) == text
    if ":" not in declaration.name:
        assert parse_input(text) == declaration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:1x3x224x224", InputDeclaration("x", (1, 3, 224, 224))),
        ("x:Nx3x32x32", InputDeclaration("x", ("N", 3, 32, 32))),
        ("y:N", InputDeclaration("y", ("N",))),
        ("x:0:Nx4", InputDeclaration("x:0", ("N", 4))),
        ("x:Nx4:float16", InputDeclaration("x", ("N", 4), "float16")),
        ("t:Nx32:int64:0..999", InputDeclaration("t", ("N", 32), "int64", 0, 999)),
        ("t:N:int8:-128..127", InputDeclaration("t", ("N",), "int8", -128, 127)),
        ("t:N:uint8:3..3", InputDeclaration("t", ("N",), "uint8", 3, 3)),
    ],
)
def test_what_people_write_is_read(text, expected):
    assert parse_input(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "expected NAME:SHAPE"),
        ("x:", "expected NAME:SHAPE"),
        (":1x3", "expected NAME:SHAPE"),
        ("x:1xx3", "expected NAME:SHAPE"),
        ("x:0x3", "Did you mean x:Nx3?"),
        ("x:-1x3", "Did you mean x:Nx3?"),
        ("x:1,3,224,224", "Did you mean x:1x3x224x224?"),
        ("x:[1, 3]", "Did you mean x:1x3?"),
        ("x:Nx3:int", "Did you mean 'int64'?"),
        ("x:Nx3:flaot32", "Did you mean 'float32'?"),
        ("x:Nx3:float32:0..3", "only integers have lo..hi"),
        ("x:Nx3:int64:9..0", "expected lo <= hi"),
        ("x:Nx3:uint8:0..256", "within 0..255"),
        ("x:Nx3:int64:0-9", "expected NAME:SHAPE"),
    ],
)
def test_what_cannot_be_read_is_said(text, words):
    with pytest.raises(UsageError) as caught:
        parse_input(text)
    assert caught.value.code == "OQ112"
    assert words.lower() in f"{caught.value.message} {caught.value.hint}".lower()


def test_an_input_is_declared_once():
    assert [one.name for one in parse_inputs(["b:N", "a:N"])] == ["b", "a"]
    with pytest.raises(UsageError, match=r"'x' twice: x:Nx4 and x:Nx5") as caught:
        parse_inputs(["x:Nx4", "y:N", "x:Nx5"])
    assert caught.value.code == "OQ112"


def test_values_are_declared_or_not():
    assert parse_input("t:N:int64:0..0").has_values
    assert not parse_input("t:N:int64").has_values


def test_a_source_is_named_as_it_was_typed():
    assert source_path(KerasFile("a/b.keras")) == "a/b.keras"
    assert source_path(Factory("a/b.py", "build")) == "a/b.py:build"
