import numpy as np
import pytest

from onnxq.conversion.parity import check_parity
from onnxq.errors import ConversionError, InferenceError, ParityError, SourceError
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature, TensorSpec

WEIGHTS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
TABLE = np.random.default_rng(1).standard_normal((10, 3)).astype(np.float32)
FLOATS = Signature((TensorSpec("x", "float32", ("N", 4)),), (TensorSpec("y", "float32", ("N", 3)),))
FIXED = Signature((TensorSpec("x", "float32", (2, 4)),), (TensorSpec("y", "float32", (2, 3)),))
TOKENS = Signature((TensorSpec("t", "int64", ("N", 5)),), FLOATS.outputs)
DECLARED = (InputDeclaration("t", ("N", 5), "int64", 2, 6),)


def linear(inputs):
    return {"y": inputs["x"] @ WEIGHTS}


def embed(inputs):
    return {"y": TABLE[inputs["t"]].mean(axis=1)}


def check(reference, export, signature=FLOATS, rows=None, declared=(), traced_rows=2):
    return check_parity(
        reference,
        export,
        signature,
        {} if rows is None else rows,
        traced_rows=traced_rows,
        seed=0,
        declared=declared,
    )


def rows_of(count, seed=5):
    x = np.random.default_rng(seed).standard_normal((count, 4)).astype(np.float32)
    return {"x": x + np.float32(3)}


def test_rows_are_fed_as_given_negated_and_scaled_at_two_batches():
    fed = []

    def recording(inputs):
        fed.append(inputs["x"])
        return linear(inputs)

    rows = rows_of(6)
    parity = check(linear, recording, rows=rows)
    assert [(p.batch_rows, p.inputs) for p in parity.probes] == [
        (1, "rows"), (1, "negated"), (1, "scaled"), (3, "rows"), (3, "negated"), (3, "scaled"),
    ]  # fmt: skip
    assert all(p.max_abs_difference == 0 and p.relative_l2 == 0 for p in parity.probes)
    as_given, negated, scaled = fed[3:]
    given = {row.tobytes() for row in rows["x"]}
    assert all(row.tobytes() in given for row in as_given)
    np.testing.assert_array_equal(negated, -as_given)
    np.testing.assert_array_equal(scaled, as_given * 3)


@pytest.mark.parametrize(
    ("traced", "batches"), [(0, {1, 3}), (1, {3, 4}), (2, {1, 3}), (3, {1, 4})]
)
def test_the_traced_batch_is_not_probed(traced, batches):
    parity = check(linear, linear, traced_rows=traced)
    assert {p.batch_rows for p in parity.probes} == batches
    assert {p.inputs for p in parity.probes} == {"random", "random scaled"}


def test_a_fixed_batch_is_the_only_one():
    parity = check(linear, linear, FIXED, rows_of(1))
    assert {p.batch_rows for p in parity.probes} == {2}


def test_random_rows_repeat():
    first, second = check(linear, linear), check(linear, linear)
    assert first == second


def test_integers_come_from_the_rows():
    seen = []

    def recording(inputs):
        seen.append(inputs["t"])
        return embed(inputs)

    rows = {"t": np.array([[7, 8, 7, 9, 9], [8, 8, 8, 8, 8]])}
    parity = check(embed, recording, TOKENS, rows)
    assert {p.inputs for p in parity.probes} == {"values"}
    assert set(np.concatenate([t.ravel() for t in seen])) <= {7, 8, 9}


def test_integers_come_from_the_declared_range():
    seen = []

    def recording(inputs):
        seen.append(inputs["t"])
        return embed(inputs)

    check(embed, recording, TOKENS, declared=DECLARED)
    assert set(np.concatenate([t.ravel() for t in seen])) <= {2, 3, 4, 5, 6}


def test_integers_are_never_invented():
    with pytest.raises(SourceError) as caught:
        check(embed, embed, TOKENS)
    assert caught.value.code == "OQ112"
    assert "--input t:Nx5:int64:0..999" in caught.value.hint


def test_free_sizes_are_never_invented():
    signature = Signature((TensorSpec("x", "float32", ("N", "T", 4)),), FLOATS.outputs)
    with pytest.raises(SourceError) as caught:
        check(linear, linear, signature)
    assert "--input x:NxSIZEx4" in caught.value.hint
    declared = (InputDeclaration("x", ("N", 7, 4)),)
    assert check(linear, linear, signature, declared=declared).probes


def wrong_at_batch_1(inputs):
    y = linear(inputs)["y"]
    return {"y": y + 1 if len(y) == 1 else y}


def wrong_sign(inputs):
    return {"y": np.abs(inputs["x"]) @ WEIGHTS}


def wrong_scale(inputs):
    return {"y": np.minimum(inputs["x"], 9) @ WEIGHTS}


def slightly_wrong(inputs):
    return {"y": linear(inputs)["y"] * np.float32(1.0003)}


def wrong_shape(inputs):
    return {"y": linear(inputs)["y"].sum(axis=0, keepdims=True)}


def wrong_dtype(inputs):
    return {"y": linear(inputs)["y"].astype(np.float64)}


def not_a_number(inputs):
    y = linear(inputs)["y"]
    y[0, 0] = np.nan
    return {"y": y}


def refuses_3(inputs):
    if len(inputs["x"]) == 3:
        message = "Got 3, expected 1"
        raise InferenceError(message, code="OQ173", hint="-")
    return linear(inputs)


@pytest.mark.parametrize(
    ("export", "words"),
    [
        (wrong_at_batch_1, ("'y' at batch 1 on rows", "limit 0.0")),
        (wrong_sign, ("'y' at batch 1 on negated inputs", "relative L2")),
        (wrong_scale, ("on scaled inputs",)),
        (slightly_wrong, ("relative L2 0.0003 (limit 1e-04)",)),
        (wrong_shape, ("at batch 3", "gives float32 [1, 3]", "gives float32 [3, 3]")),
        (wrong_dtype, ("gives float64 [1, 3]",)),
        (not_a_number, ("not finite",)),
        (refuses_3, ("fails at batch 3", "Got 3")),
        (lambda inputs: {"y": linear(inputs)["y"] * 0}, ("relative L2 1 ",)),
    ],
)
def test_an_export_that_computes_something_else_is_refused(export, words):
    with pytest.raises(ParityError) as caught:
        check(linear, export, rows=rows_of(8))
    assert caught.value.code == "OQ152"
    for word in words:
        assert word in caught.value.message


def test_rounding_is_allowed():
    def rounded(inputs):
        return {"y": (linear(inputs)["y"].astype(np.float64) + 1e-6).astype(np.float32)}

    worst = max(p.max_abs_difference for p in check(linear, rounded).probes)
    assert 0 < worst < 1e-5


def test_nan_and_infinities_at_the_same_places_are_equal():
    def odd(inputs):
        y = linear(inputs)["y"]
        y[0] = [np.nan, np.inf, -np.inf]
        return {"y": y}

    assert check(odd, odd).probes

    def other_sign(inputs):
        y = odd(inputs)["y"]
        y[0, 1] = -np.inf
        return {"y": y}

    with pytest.raises(ParityError):
        check(odd, other_sign)


def test_other_outputs_are_refused():
    with pytest.raises(ParityError, match="'z'"):
        check(lambda inputs: {"z": linear(inputs)["y"]}, linear)


def test_classes_and_strings_are_compared_exactly():
    def classes(inputs):
        best = linear(inputs)["y"].argmax(axis=1)
        return {"label": best, "word": np.array([f"class {c}" for c in best], dtype=object)}

    def off_by_one(inputs):
        return {"label": classes(inputs)["label"], "word": np.roll(classes(inputs)["word"], 1)}

    outputs = (TensorSpec("label", "int64", ("N",)), TensorSpec("word", "string", ("N",)))
    signature = Signature(FLOATS.inputs, outputs)
    assert check(classes, classes, signature, rows_of(3)).probes
    with pytest.raises(ParityError, match="'word'"):
        check(classes, off_by_one, signature, rows_of(3))


def test_a_source_that_fails_on_its_own_rows_is_said():
    def failing(_inputs):
        message = "mat1 and mat2 shapes cannot be multiplied"
        raise RuntimeError(message)

    with pytest.raises(ConversionError, match="mat1 and mat2") as caught:
        check(failing, linear, rows=rows_of(3))
    assert caught.value.code == "OQ151"


def test_a_source_may_refuse_what_was_made_of_its_rows():
    def picky(inputs):
        if (inputs["x"] < -1).any():
            message = "negative pixels"
            raise ValueError(message)
        return linear(inputs)

    rows = {"x": np.ones((4, 4), np.float32) * 2}
    assert {p.inputs for p in check(picky, linear, rows=rows).probes} == {"rows", "scaled"}


def test_a_random_source_is_said():
    generator = np.random.default_rng(0)

    def noisy(inputs):
        return {"y": linear(inputs)["y"] + generator.standard_normal(3).astype(np.float32)}

    with pytest.raises(ParityError, match="random"):
        check(noisy, linear)
