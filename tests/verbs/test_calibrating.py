"""``calibrate``, ``merge`` and ``quantize --ranges`` on a tiny model, through the Python face."""

import json

import numpy as np
import pytest

import onnxq
from onnxq.documents import Calibration, read_document

RANGES, STATISTICS = "tiny.ranges.json", "tiny.statistics"


def calibrate(task, out, **options):
    options = {"cache": False} | options
    return onnxq.calibrate(str(task.model), calib=str(task.rows), out=str(out), **options)


@pytest.fixture(scope="module")
def whole(tiny_task, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / "out"
    return calibrate(tiny_task, out, recipe=("int8", "int8-minmax")), out


def test_statistics_and_ranges_are_written_with_their_document(whole):
    done, out = whole
    assert {path.name for path in out.iterdir()} == {RANGES, STATISTICS, "report.json"}
    assert isinstance(done, Calibration)
    assert read_document(out / "report.json") == done
    assert set(done.files) == {RANGES, STATISTICS}
    assert [one.alias for one in done.sets] == ["int8", "int8-minmax"]
    written = json.loads((out / RANGES).read_text())
    assert set(written["sets"]) == {one.key for one in done.sets}
    for one in done.sets:
        assert one.ranges
        assert set(written["sets"][one.key]["ranges"]) == set(one.ranges)


def test_the_effort_is_told(whole, tiny_task):
    effort = whole[0].effort
    rows = len(np.load(tiny_task.rows)["x"])
    assert (effort.origin, effort.rows, effort.given_rows) == ("computed", rows, rows)
    assert 0 < effort.tensors <= len(whole[0].sets[0].ranges)
    assert effort.passes == 1
    assert effort.peak_bytes > 0
    assert 0 < effort.predicted_peak_bytes <= effort.cap_bytes
    assert effort.cpu_seconds > 0
    assert effort.seconds > 0


def test_shards_merge_to_the_very_files_of_one_run(whole, tiny_task, tmp_path):
    _, out = whole
    recipes = {"recipe": ("int8", "int8-minmax")}
    for part in ("1/3", "2/3", "3/3"):
        done = calibrate(tiny_task, tmp_path / part[0], shard=part, **recipes)
        assert done.sets == ()
        assert set(done.files) == {f"tiny.{part[0]}of3.statistics"}
    parts = tuple(str(tmp_path / n / f"tiny.{n}of3.statistics") for n in ("2", "3", "1"))
    merged = onnxq.merge(str(tiny_task.model), parts, out=str(tmp_path / "merged"), **recipes)
    assert merged.effort.origin == "merged"
    for name in (RANGES, STATISTICS):
        assert (tmp_path / "merged" / name).read_bytes() == (out / name).read_bytes()


def test_a_missing_part_is_told(tiny_task, tmp_path):
    calibrate(tiny_task, tmp_path / "1", shard="1/2")
    with pytest.raises(onnxq.OnnxqError, match="200 of 400 runs") as caught:
        onnxq.merge(
            str(tiny_task.model),
            (str(tmp_path / "1" / "tiny.1of2.statistics"),),
            out=str(tmp_path / "merged"),
        )
    assert caught.value.hint
    assert not (tmp_path / "merged").exists()


def test_quantizing_with_ranges_gives_the_model_that_rows_give(whole, tiny_task, tmp_path):
    by_rows = onnxq.quantize(
        str(tiny_task.model),
        calib=str(tiny_task.rows),
        recipe=("int8",),
        out=str(tmp_path / "rows"),
        cache=False,
    )
    by_ranges = onnxq.quantize(
        str(tiny_task.model), ranges=str(whole[1] / RANGES), out=str(tmp_path / "ranges")
    )
    assert by_rows.variants[0].artefact.sha256 == by_ranges.variants[0].artefact.sha256
    written = tmp_path / "rows" / RANGES
    assert json.loads(written.read_text())["sets"].keys() == {whole[0].sets[0].key}
    assert (tmp_path / "ranges" / RANGES).read_bytes() == written.read_bytes()


def test_ranges_of_another_model_or_recipe_are_refused(whole, tiny_task, tmp_path):
    ranges = str(whole[1] / RANGES)
    with pytest.raises(onnxq.OnnxqError, match="percentile"):
        onnxq.quantize(
            str(tiny_task.model),
            ranges=ranges,
            recipe=("int8-percentile",),
            out=str(tmp_path / "out"),
        )
    edited = json.loads((whole[1] / RANGES).read_text())
    edited["model_sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(edited))
    with pytest.raises(onnxq.OnnxqError, match="another model"):
        onnxq.quantize(
            str(tiny_task.model), ranges=str(tmp_path / "other.json"), out=str(tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ranges": "r.json", "calib": "rows.npz"}, "--ranges are calibrated already"),
        ({"ranges": "r.json", "recipe": ("int8-dynamic",)}, "for static recipes"),
    ],
)
def test_options_that_contradict_ranges_are_refused(options, words, tiny_task, tmp_path):
    with pytest.raises(onnxq.UsageError, match=words):
        onnxq.quantize(str(tiny_task.model), out=str(tmp_path / "out"), **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to calibrate on"),
        ({"calib": "r.npz", "recipe": ("int8-dynamic",)}, "has no ranges"),
        ({"calib": "r.npz", "shard": "1/2", "calib_rows": "auto"}, "--shard"),
        ({"calib": "r.npz", "out": "small.onnx"}, "folder"),
    ],
)
def test_options_that_make_no_calibration_are_refused(options, words, tiny_task):
    with pytest.raises(onnxq.UsageError, match=words):
        onnxq.calibrate(str(tiny_task.model), **options)


def test_merging_nothing_is_refused(tiny_task):
    with pytest.raises(onnxq.UsageError, match="nothing to merge"):
        onnxq.merge(str(tiny_task.model), ())


def test_a_second_calibration_is_found_in_the_cache(tiny_task, tmp_path):
    options = {"cache": True, "cache_dir": str(tmp_path / "cache")}
    first = calibrate(tiny_task, tmp_path / "a", **options)
    second = calibrate(tiny_task, tmp_path / "b", **options)
    assert (first.effort.origin, second.effort.origin) == ("computed", "cached")
    assert (tmp_path / "a" / RANGES).read_bytes() == (tmp_path / "b" / RANGES).read_bytes()
    other = calibrate(tiny_task, tmp_path / "c", recipe=("int8-percentile",), **options)
    assert other.effort.origin == "cached"


def test_fewer_rows_are_calibrated_on_where_fewer_are_asked_for(tiny_task, tmp_path):
    done = calibrate(tiny_task, tmp_path / "a", calib_rows="7")
    assert (done.effort.rows, done.effort.given_rows) == (7, 7)


@pytest.mark.parametrize("verb", ["calibrate", "merge"])
def test_the_plan_names_the_files(verb, whole, tiny_task, tmp_path):
    out = str(tmp_path / "out")
    if verb == "calibrate":
        plan = onnxq.calibrate.plan(str(tiny_task.model), calib=str(tiny_task.rows), out=out)
    else:
        plan = onnxq.merge.plan(str(tiny_task.model), (str(whole[1] / STATISTICS),), out=out)
    assert set(plan.files) == {RANGES, STATISTICS, "report.json"}
    assert [step.name for step in plan.steps] == (
        ["convert", "load rows", "prepare", "calibrate"]
        if verb == "calibrate"
        else ["convert", "prepare"]
    )


def test_a_part_without_rows_is_refused(tiny_task, tmp_path):
    with pytest.raises(onnxq.DatasetError, match="part 900 of 1000 has no rows"):
        calibrate(tiny_task, tmp_path / "a", shard="900/1000")


def test_the_lower_of_two_limits_holds(tiny_task, tmp_path):
    for options in ({"limit": 5, "calib_rows": "9"}, {"limit": 9, "calib_rows": "5"}):
        out = tmp_path / str(options["limit"])
        assert calibrate(tiny_task, out, **options).effort.rows == 5


def test_ranges_say_on_how_many_rows_they_were_calibrated(whole):
    written = json.loads((whole[1] / RANGES).read_text())
    assert written["rows"] == whole[0].effort.rows


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"keep_float": "nosuch"}, "no node like 'nosuch'"),
        ({"operator": "Konv"}, "no operator 'Konv'"),
        ({"skip_operator": "relu"}, "no operator 'relu'"),
    ],
)
def test_wishes_that_speak_of_no_node_are_refused_by_every_verb(
    wish, words, whole, tiny_task, tmp_path
):
    model, out = str(tiny_task.model), str(tmp_path / "out")
    rows = str(tiny_task.rows)
    calls = (
        lambda: calibrate(tiny_task, out, **wish),
        lambda: onnxq.merge(model, str(whole[1] / STATISTICS), out=out, **wish),
        lambda: onnxq.quantize(
            model, calib=rows, recipe=("int8", "int8-dynamic"), out=out, cache=False, **wish
        ),
    )
    for call in calls:
        with pytest.raises(onnxq.OnnxqError, match=words) as caught:
            call()
        assert (caught.value.code, caught.value.exit_code) == ("OQ164", 2)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["calibrate", "merge", "quantize", "run"])
def test_a_plan_refuses_wishes_that_speak_of_no_node(verb, whole, tiny_task, tmp_path):
    rows = {
        "calibrate": {"calib": tiny_task.rows, "cache": False},
        "merge": {"parts": whole[1] / STATISTICS},
        "quantize": {"calib": tiny_task.rows, "cache": False},
        "run": {"data": tiny_task.rows, "cache": False},
    }[verb]
    with pytest.raises(onnxq.OnnxqError, match="no node like 'nosuch'") as caught:
        onnxq.plan(verb, tiny_task.model, keep_float="nosuch", out=tmp_path / "out", **rows)
    assert caught.value.code == "OQ164"
