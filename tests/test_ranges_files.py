import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.errors import DatasetError, UsageError
from onnxq.given_ranges import find_ranges
from onnxq.ranges import LARGEST_BOUND, TensorRange, TensorRanges
from onnxq.ranges_files import (
    MAX_FILE_BYTES,
    RangesFile,
    RangesSet,
    encode_ranges_file,
    parse_ranges_file,
    read_ranges_file,
    write_ranges_file,
)
from onnxq.recipe_kinds import MeanSquaredError, QuantizationScope, StaticQdq, ranges_key

MODEL = "0123456789abcdef" * 4
MSE = TensorRanges(
    method="mse",
    ranges={"x": TensorRange(-1.0, 1.5), "conv1": TensorRange(0.0, 6.0)},
    model_sha256=MODEL,
    kept_float=("concat", "boxes"),
)
MINMAX = TensorRanges(method="minmax", ranges={"x": TensorRange(-2.0, 3.0)}, model_sha256=MODEL)

FINITE = st.floats(-LARGEST_BOUND, LARGEST_BOUND)
RANGE = st.tuples(FINITE, FINITE).map(lambda pair: TensorRange(min(pair), max(pair)))


@st.composite
def several_sets(draw):
    keys = draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=4, unique=True))
    return [
        TensorRanges(
            method=key,
            ranges=draw(st.dictionaries(st.text(max_size=5), RANGE, max_size=4)),
            model_sha256=MODEL,
            kept_float=tuple(sorted(draw(st.sets(st.text(max_size=5), max_size=3)))),
        )
        for key in keys
    ]


@given(several_sets())
def test_what_is_written_is_found(sets):
    file = parse_ranges_file(encode_ranges_file(sets, rows=7), origin="x")
    assert file.rows == 7
    assert [find_ranges(file, one.method, MODEL) for one in sets] == sets


@given(several_sets(), st.randoms())
def test_the_order_changes_no_byte(sets, random):
    turned = []
    for one in random.sample(sets, len(sets)):
        names = random.sample(list(one.ranges), len(one.ranges))
        ranges = {name: one.ranges[name] for name in names}
        turned.append(msgspec.structs.replace(one, ranges=ranges))
    assert encode_ranges_file(turned) == encode_ranges_file(sets)


def test_the_file_reads_well(tmp_path):
    path = tmp_path / "net.ranges.json"
    write_ranges_file(path, [MSE, MINMAX], rows=500)
    text = path.read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "schema": "onnxq/ranges/1",
        "model_sha256": MODEL,
        "rows": 500,
        "sets": {
            "minmax": {"kept_float": [], "ranges": {"x": {"low": -2.0, "high": 3.0}}},
            "mse": {
                "kept_float": ["boxes", "concat"],
                "ranges": {
                    "conv1": {"low": 0.0, "high": 6.0},
                    "x": {"low": -1.0, "high": 1.5},
                },
            },
        },
    }
    assert read_ranges_file(path).sets["mse"].ranges == MSE.ranges


def test_ranges_may_be_edited_by_hand():
    text = encode_ranges_file([MSE]).decode().replace("6.0", "4").replace('"rows": 0,', "")
    file = parse_ranges_file(text.encode(), origin="x")
    assert find_ranges(file, "mse", MODEL).ranges["conv1"] == TensorRange(0.0, 4.0)


@pytest.mark.parametrize(
    ("find", "put", "words"),
    [
        ("{", "", "Expected `object`, got `str`"),
        ("6.0", "NaN", "'conv1' of 'mse': high is nan, expected a finite number"),
        ("0.0", "-Infinity", "'conv1' of 'mse': low is -inf"),
        ("6.0", "1e999", "'conv1' of 'mse': high is inf"),
        ("0.0", "-9e37", "has no scale in float32"),
        ("6.0", "1e39", r"'conv1' of 'mse': \[0, 1e\+39\] has no scale in float32"),
        ('"high"', '"hihg"', "'conv1' of 'mse': Object contains unknown field `hihg`"),
        ('"kept_float"', '"keep_float"', "unknown field `keep_float`"),
        ('"schema"', '"note": 1, "schema"', "unknown field `note`"),
        ('"rows": 0', '"rows": -5', "Expected `int` >= 0 - at `\\$.rows`"),
        (
            "6.0",
            "null",
            r"'conv1' of 'mse': Expected `float`, got `null` - at",
        ),
        ("6.0", "-3", r"'conv1' of 'mse': not a range: \[0.0, -3.0\]"),
        ('"low": 0.0,', "", "missing required field `low`"),
        ('"sets"', '"set"', "unknown field `set`"),
        ("onnxq/ranges/1", "onnxq/report/1", "found schema 'onnxq/report/1', expected"),
        ("onnxq/ranges/1", "onnxq/ranges/2", "found schema 'onnxq/ranges/2'"),
        ('"schema"', '"scheme"', "missing required field `schema`"),
    ],
)
def test_a_file_that_is_wrong_says_where(find, put, words):
    text = encode_ranges_file([MSE]).decode().replace(find, put, 1)
    with pytest.raises(DatasetError, match=words) as caught:
        parse_ranges_file(text.encode(), origin="net.ranges.json")
    assert caught.value.code == "OQ146"
    assert caught.value.message.startswith("net.ranges.json ")
    assert ("update onnxq" in caught.value.hint) == (put == "onnxq/ranges/2")


@given(st.binary(max_size=50))
def test_anything_else_is_refused(data):
    with pytest.raises(DatasetError) as caught:
        parse_ranges_file(data, origin="x")
    assert caught.value.code == "OQ146"


def test_deep_nests_are_refused():
    with pytest.raises(DatasetError, match="x holds no ranges"):
        parse_ranges_file(b'{"a":' * 100_000, origin="x")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(DatasetError) as caught:
            read_ranges_file(path)
        assert caught.value.code == "OQ127"


def test_a_file_too_large_to_be_ranges_is_not_read(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DatasetError, match="holds no ranges"):
        read_ranges_file(path)


def test_ranges_of_another_model_are_refused():
    file = parse_ranges_file(encode_ranges_file([MSE]), origin="x")
    with pytest.raises(UsageError, match="found 0123456789ab, expected ffffffffffff") as caught:
        find_ranges(file, "mse", "f" * 64)
    assert caught.value.code == "OQ147"
    assert "Calibrate this model" in caught.value.hint


IO_UINT8 = ranges_key(StaticQdq(MeanSquaredError()), QuantizationScope(io="uint8"))


@pytest.mark.parametrize(
    ("has", "key", "options", "message", "hint"),
    [
        (
            ["minmax", "mse"],
            "mse-int16",
            (),
            (
                "f has no ranges for -r static-int16-int8-perchannel-mse: it was calibrated for "
                "-r int8-minmax; -r int8."
            ),
            "Quantize by what it was calibrated for, -r int8-minmax, or calibrate:  onnxq ",
        ),
        (
            ["minmax-int16"],
            "mse",
            (),
            "f has no ranges for -r int8: it was calibrated for -r int16.",
            "Quantize by what it was calibrated for, -r int16, or calibrate:  onnxq ",
        ),
        (
            ["mse"],
            IO_UINT8,
            ("--io uint8",),
            "f has no ranges for -r int8 with --io uint8: it was calibrated for -r int8.",
            (
                "Leave --io uint8 out, as calibrate did, or calibrate with the same:  "
                "onnxq calibrate MODEL --calib DATA -r int8 --io uint8 -o FOLDER"
            ),
        ),
        (
            [IO_UINT8],
            "mse",
            (),
            (
                "f has no ranges for -r int8: it was calibrated for -r int8 with --keep-float, "
                "--operator, --skip-operator, --io or rules."
            ),
            "Give the same --keep-float, ",
        ),
        (
            ["mse"],
            "minmax-0123abcd",
            ("--io int8", "rules"),
            "f has no ranges for -r int8-minmax with --io int8, rules: ",
            "Quantize by what it was calibrated for, -r int8, without --io int8, rules, or ",
        ),
        ([], "mse", ("rules",), "f has no ranges for -r int8 with rules: ", "Calibrate for this "),
        (["?"], "mse", (), "f has no ranges for -r int8: it was calibrated for '?'.", "Quantize "),
    ],
)
def test_ranges_that_are_not_there_are_told_in_words_that_are_typed(
    has, key, options, message, hint
):
    sets = {one: RangesSet(ranges={}) for one in has}
    file = RangesFile(model_sha256=MODEL, sets=sets)
    with pytest.raises(UsageError) as caught:
        find_ranges(file, key, MODEL, origin="f", options=options)
    assert caught.value.code == "OQ147"
    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "sets", [[], [MSE, MSE], [MSE, msgspec.structs.replace(MINMAX, model_sha256="f" * 64)]]
)
def test_one_file_is_of_one_model_with_each_key_once(sets):
    with pytest.raises(ValueError, match="not one file"):
        encode_ranges_file(sets)


def test_numbers_survive_exactly():
    bounds = (math.nextafter(0.1, 1), 5e-324, -LARGEST_BOUND)
    ranges = {str(bound): TensorRange(bound, abs(bound)) for bound in bounds}
    sets = [TensorRanges(method="mse", ranges=ranges, model_sha256=MODEL)]
    file = parse_ranges_file(encode_ranges_file(sets), origin="x")
    assert file.sets["mse"].ranges == ranges
