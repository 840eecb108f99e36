"""What Python hands to a verb: taken where it means the same, refused in the terms of the call."""

import inspect
import os
import typing
from pathlib import Path

import numpy as np
import pytest

import onnxq
from onnxq.errors import UsageError
from onnxq.events import Tell, tell_nobody
from onnxq.verbs import arguments, option_types

VERBS = ("calibrate", "convert", "merge", "profile", "quantize", "run")


def rows_of_mine():
    yield {"x": np.zeros((3,), np.float32)}


@arguments.checked
def collect(  # noqa: PLR0913, PLR0917 - one of each kind
    model: object = "",
    text: str = "",
    calib: option_types.RowsText = "",
    out: option_types.FolderPath = "",
    calib_rows: option_types.RowCount = "",
    max_memory: option_types.MemoryText = "",
    max_drop: option_types.DropText = "",
    shard: option_types.ShardText = "",
    recipe: tuple[option_types.RecipeText, ...] = (),
    keep_float: tuple[option_types.GlobText, ...] = (),
    threads: tuple[int, ...] = (),
    limit: int = 0,
    seconds: float = 1.0,
    trust: bool = False,  # noqa: FBT001, FBT002 - a flag as verbs have them
    tell: Tell = tell_nobody,
) -> dict[str, object]:
    """Return the arguments."""
    return dict(locals())


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("text", "as it is", "as it is"),
        ("calib", Path("rows.npz"), "rows.npz"),
        ("out", Path("a") / "b", os.path.join("a", "b")),  # noqa: PTH118 - the text is the subject
        ("calib_rows", 16, "16"),
        ("calib_rows", np.int64(16), "16"),
        ("calib_rows", "auto", "auto"),
        ("max_memory", 10**9, "1000000000B"),
        ("max_memory", 2.5e9, "2500000000.0B"),
        ("max_memory", "2GB", "2GB"),
        ("max_drop", 0.01, "0.01"),
        ("max_drop", 1e-7, "0.0000001"),
        ("max_drop", np.float32(0.5), "0.5"),
        ("max_drop", 0, "0"),
        ("recipe", "int8-minmax", ("int8-minmax",)),
        ("recipe", Path("mine.toml"), ("mine.toml",)),
        ("recipe", ["int8", Path("mine.toml")], ("int8", "mine.toml")),
        ("keep_float", "conv2", ("conv2",)),
        ("keep_float", (one for one in ("a", "b")), ("a", "b")),
        ("threads", 4, (4,)),
        ("threads", np.arange(1, 3), (1, 2)),
        ("limit", np.int32(7), 7),
        ("seconds", 20, 20.0),
        ("trust", True, True),
        ("tell", print, print),
        ("model", 3, 3),
    ],
)
def test_what_means_the_same_is_taken(name, given, taken):
    found = collect(**{name: given})[name]
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("name", "given", "message", "hint"),
    [
        ("text", 3, "text: found 3, expected a text.", 'text="3"'),
        ("text", None, "text: found None, expected a text.", "Leave text out."),
        ("text", b"x", "text: found a bytes", 'text="..."'),
        ("calib", np.zeros(3), "calib: found a ndarray", 'np.savez("rows.npz", x=array)'),
        ("calib", {"x": np.zeros(3)}, "calib: found a dict", "**arrays"),
        ("calib", rows_of_mine, "calib: found a function", ":rows_of_mine"),
        ("calib", lambda: (), "calib: found a function", 'calib="pkg.mod:fn"'),
        ("calib", [np.zeros(3)], "calib: found a list", "np.savez"),
        ("out", 3, "expected a text or a path.", 'out="onnxq-out"'),
        ("calib_rows", 2.5, "calib_rows: found 2.5, expected a text or a whole number.", '"256"'),
        ("calib_rows", True, "calib_rows: found True", '"256"'),
        ("max_memory", None, "expected a text or a number.", "Leave max_memory out."),
        ("max_drop", (1, "pp"), "max_drop: found a tuple", 'max_drop="1pp"'),
        ("shard", (2, 2), "shard: found a tuple, expected a text.", 'shard="2/4"'),
        ("shard", 2, "shard: found 2, expected a text.", 'shard="2/4"'),
        ("recipe", ("int8", 8), "recipe[1]: found 8, expected a text or a path.", "int8"),
        ("recipe", None, "recipe: found None, expected a tuple.", "Leave recipe out."),
        ("recipe", {"int8"}, "recipe: found a set, expected a tuple.", 'recipe=("int8",)'),
        ("keep_float", {"a": 1}, "keep_float: found a dict", 'keep_float=("head/*",)'),
        ("threads", "4", "threads: found the text '4', expected a whole number.", "threads=4"),
        ("threads", (1, "2"), "threads[1]: found the text '2'", "2"),
        ("limit", "16", "limit: found the text '16', expected a whole number.", "limit=16"),
        ("limit", "many", "limit: found the text 'many'", "limit=16"),
        ("limit", 16.0, "limit: found 16.0, expected a whole number.", "limit=16"),
        ("limit", True, "limit: found True, expected a whole number.", "limit=16"),
        ("seconds", "20", "seconds: found the text '20', expected a number.", "seconds=20"),
        ("trust", 1, "trust: found 1, expected True or False.", "trust=True"),
        ("tell", "loudly", "tell: found the text 'loudly', expected a function.", "Leave tell out"),
    ],
)
def test_what_cannot_be_meant_is_refused(name, given, message, hint):
    with pytest.raises(UsageError) as caught:
        collect(**{name: given})
    assert caught.value.code == "OQ100"
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_option_that_there_is_not_is_an_error_as_python_has_it():
    with pytest.raises(TypeError, match=r"collect\(\): .*'calibrows'"):
        collect(calibrows=3)
    with pytest.raises(TypeError, match=r"merge\(\): too many positional"):
        onnxq.merge("m.onnx", "a.statistics", "b.statistics")
    with pytest.raises(TypeError, match=r"calibrate\(\): .*'data'"):
        onnxq.calibrate.plan("m.onnx", data="rows.npz")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_checks_every_option_it_declares(name):
    verb = getattr(onnxq, name)
    for option in list(inspect.signature(verb).parameters)[1:]:
        for call in (verb, verb.plan):
            arguments_of_it = {"parts": ("p",), option: object()}
            if "parts" not in inspect.signature(verb).parameters:
                del arguments_of_it["parts"]
            with pytest.raises(UsageError, match=f"^{option}: found an object, expected"):
                call("model.onnx", **arguments_of_it)


@pytest.mark.parametrize(
    "call",
    [
        lambda: onnxq.inspect(np.zeros(3)),
        lambda: onnxq.inspect("m.onnx", map={"x": "images"}),
        lambda: onnxq.doctor(3),
        lambda: onnxq.recipes(8),
        lambda: onnxq.plan(3, "m.onnx"),
        lambda: onnxq.plan("run", "m.onnx", limit="16"),
    ],
)
def test_what_only_tells_checks_too(call):
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.code == "OQ100"
    assert "found" in caught.value.message


def test_a_signature_says_what_is_taken():
    parameters = inspect.signature(onnxq.calibrate).parameters
    shown = {name: one.annotation for name, one in parameters.items()}
    assert shown["calib"] == str | os.PathLike[str]
    assert shown["calib_rows"] == str | int
    assert shown["keep_float"] == str | tuple[str, ...]
    assert shown["limit"] is int
    assert shown["model"] is object
    assert inspect.signature(onnxq.run).parameters["max_drop"].annotation == str | float
    for name in (*VERBS, "doctor", "inspect", "plan", "recipes"):
        verb = getattr(onnxq, name)
        hints = typing.get_type_hints(verb)
        signature = inspect.signature(verb)
        assert hints["return"] == signature.return_annotation
        for parameter in signature.parameters.values():
            assert hints[parameter.name] == parameter.annotation


def test_a_calibration_from_python_takes_python(tiny_task, tmp_path):
    done = onnxq.calibrate(
        tiny_task.model,
        calib=tiny_task.rows,
        calib_rows=16,
        max_memory=10**9,
        recipe="int8-minmax",
        out=tmp_path / "out",
        cache_dir=tmp_path / "cache",
    )
    assert (done.effort.rows, done.effort.cap_bytes) == (16, 10**9)
    assert [one.alias for one in done.sets] == ["int8-minmax"]
    assert (tmp_path / "out" / "tiny.ranges.json").is_file()
    merged = onnxq.merge(
        tiny_task.model, tmp_path / "out" / "tiny.statistics", out=tmp_path / "merged"
    )
    assert merged.effort.rows == 16


def test_limits_from_python_may_be_numbers(tiny_task):
    plan = onnxq.run.plan(
        tiny_task.model,
        data=tiny_task.rows,
        max_drop=0.01,
        min_speedup=1.5,
        max_size=2_000_000,
        threads=1,
    )
    assert plan.evaluation_rows > 0
    with pytest.raises(UsageError, match="--max-drop cannot be read"):
        onnxq.run.plan(tiny_task.model, data=tiny_task.rows, max_drop=-0.5)
