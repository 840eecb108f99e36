"""The verbs beside ``run`` on a tiny ONNX model, through the Python face."""

import inspect
import json

import numpy as np
import onnx
import pytest

import onnxq
from onnxq.documents import (
    Built,
    Conversion,
    NotProfiled,
    Plan,
    Profiled,
    Quantization,
    Unavailable,
    document_to_json,
    read_document,
)
from onnxq.graph.integer_io import read_integer_io
from onnxq.integer_tensors import quantize_feeds
from onnxq.measurements import Compared, Judged, Unjudged
from onnxq.reports import NotApplicable, Skipped
from onnxq.runtime import open_predict

ALL = ("int8", "int8-minmax", "int8-percentile", "int8-dynamic", "int16", "int8-weights",
       "int4-weights", "fp16")  # fmt: skip
QUICK = {"seconds": 0.5, "threads": (1,)}


def test_convert_writes_a_model_that_computes_the_same(tiny_task, tmp_path):
    done = onnxq.convert(str(tiny_task.model), out=str(tmp_path / "out"))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"tiny.onnx", "report.json"}
    assert read_document(tmp_path / "out" / "report.json") == done
    x = np.load(tiny_task.rows)["x"][:3]
    (expected,) = open_predict(tiny_task.model)({"x": x}).values()
    (found,) = open_predict(tmp_path / "out" / done.artefact.file)({"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_convert_replaces_its_own_folder_and_nobody_elses(tiny_task, tmp_path):
    out = tmp_path / "out"
    onnxq.convert(str(tiny_task.model), out=str(out))
    onnxq.convert(str(tiny_task.model), out=str(out))
    (out / "mine.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(onnxq.OutputError, match=r"mine\.txt"):
        onnxq.convert(str(tiny_task.model), out=str(out))


def test_one_file_is_written_whole_and_not_twice(tiny_task, tmp_path):
    out = tmp_path / "converted.onnx"
    onnxq.convert(str(tiny_task.model), out=str(out))
    onnx.checker.check_model(onnx.load(out))
    assert [path.name for path in tmp_path.iterdir()] == ["converted.onnx"]
    with pytest.raises(onnxq.OutputError, match="exists"):
        onnxq.convert(str(tiny_task.model), out=str(out))
    onnxq.convert(str(tiny_task.model), out=str(out), overwrite=True)


def test_the_given_model_is_never_the_output(tiny_task):
    before = tiny_task.model.read_bytes()
    with pytest.raises(onnxq.UsageError, match="the model that was given"):
        onnxq.convert(str(tiny_task.model), out=str(tiny_task.model), overwrite=True)
    assert tiny_task.model.read_bytes() == before


@pytest.fixture(scope="module")
def quantized(tiny_task, tmp_path_factory):
    out = tmp_path_factory.mktemp("quantized") / "out"
    done = onnxq.quantize(str(tiny_task.model), calib=str(tiny_task.rows), recipe=ALL, out=str(out))
    return done, out


def test_every_recipe_is_built_and_runs(quantized, tiny_task):
    done, out = quantized
    assert isinstance(done, Quantization)
    assert [row.alias for row in done.variants] == list(ALL)
    x = np.load(tiny_task.rows)["x"][:4]
    (expected,) = open_predict(tiny_task.model)({"x": x}).values()
    for row in done.variants:
        assert isinstance(row, Built), row
        (found,) = open_predict(out / row.artefact.file)({"x": x}).values()
        assert np.abs(found - expected).max() < 0.25 * np.abs(expected).max(), row.alias


def test_the_document_lies_beside_the_models(quantized):
    done, out = quantized
    assert read_document(out / "report.json") == done
    written = {row.artefact.file for row in done.variants}
    beside = {"report.json", "tiny.ranges.json"}
    assert {path.name for path in out.iterdir()} == written | beside


def test_quantize_without_rows_takes_the_recipe_that_needs_none(tiny_task, tmp_path):
    done = onnxq.quantize(str(tiny_task.model), out=str(tmp_path / "out"))
    assert [row.alias for row in done.variants] == ["int8-dynamic"]
    with pytest.raises(onnxq.RecipeError, match="needs rows to calibrate on"):
        onnxq.quantize(str(tiny_task.model), recipe=("int8",), out=str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_several_recipes_do_not_fit_one_file(tiny_task, tmp_path):
    with pytest.raises(onnxq.UsageError, match="one file, and there are 2 recipes"):
        onnxq.quantize(
            str(tiny_task.model), recipe=("fp16", "fp32"), out=str(tmp_path / "one.onnx")
        )


def test_quantizing_twice_is_refused_and_profiling_is_not(quantized, tmp_path):
    _, out = quantized
    with pytest.raises(onnxq.SourceError, match="quantized already") as caught:
        onnxq.quantize(str(out / "tiny.int8.onnx"), out=str(tmp_path / "twice"))
    assert caught.value.code == "OQ110"
    assert "onnxq profile" in caught.value.hint
    assert not (tmp_path / "twice").exists()


def test_run_profiles_what_is_quantized_already(quantized, tiny_task, tmp_path):
    _, out = quantized
    report = onnxq.run(
        str(out / "tiny.int8.onnx"),
        data=str(tiny_task.rows),
        recipe=("int8",),
        out=str(tmp_path / "out"),
        **QUICK,
    )
    assert report.reference == "given"
    assert [row.alias for row in report.variants] == ["given", "int8"]
    assert isinstance(report.variants[1], NotApplicable)
    assert "never quantized twice" in report.variants[1].reason
    assert report.verdict.kind == "quantized_already"


def test_integer_interfaces_are_fed_and_judged(tiny_task, tmp_path):
    report = onnxq.run(
        str(tiny_task.model),
        data=str(tiny_task.rows),
        recipe=("int8",),
        io="uint8",
        out=str(tmp_path / "out"),
        **QUICK,
    )
    row = next(row for row in report.variants if row.alias == "int8")
    model = onnx.load(tmp_path / "out" / row.artefact.file)
    types = [v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)]
    assert types == [onnx.TensorProto.UINT8, onnx.TensorProto.UINT8]
    assert isinstance(row.quality, Judged)
    assert row.quality.accuracy.value.value > 0.9
    assert {tensor.name for tensor in row.artefact.io} == {"x", "scores"}


@pytest.fixture(scope="module")
def integer_model(tiny_task, tmp_path_factory):
    out = tmp_path_factory.mktemp("integer") / "tiny.int8.onnx"
    onnxq.quantize(str(tiny_task.model), calib=str(tiny_task.rows), io="int8", out=str(out))
    return out


def test_real_rows_become_the_integers_that_a_given_model_takes(integer_model, tiny_task):
    done = onnxq.profile(
        (str(tiny_task.model), str(integer_model)), data=str(tiny_task.rows), **QUICK
    )
    quality = done.rows[1].quality
    assert isinstance(quality, Judged)
    assert quality.accuracy.value.value > 0.9
    assert quality.agreement.outputs[0].sqnr_db > 10


def test_rows_that_are_such_integers_are_fed_as_they_are(integer_model, tiny_task, tmp_path):
    stored = np.load(tiny_task.rows)
    io = {tensor.name: tensor for tensor in read_integer_io(onnx.load(integer_model))}
    steps = quantize_feeds({"x": stored["x"]}, io.values())["x"]
    np.savez(tmp_path / "steps.npz", x=steps, y=stored["y"])
    values = [
        onnxq.profile(str(integer_model), data=str(rows), **QUICK).rows[0].quality.accuracy.value
        for rows in (tiny_task.rows, tmp_path / "steps.npz")
    ]
    assert values[0] == values[1]


@pytest.fixture(scope="module")
def profiled(quantized, tiny_task):
    _, out = quantized
    models = (str(tiny_task.model), str(out / "tiny.int8.onnx"), str(out / "missing.onnx"))
    with pytest.raises(onnxq.SourceError, match="does not exist"):
        onnxq.profile(models, data=str(tiny_task.rows), **QUICK)
    return onnxq.profile(
        models[:2], data=str(tiny_task.rows), provider=("cpu", "openvino", "dnnl"), **QUICK
    )


def test_profile_has_a_row_for_each_model_and_provider(profiled):
    kinds = [(row.provider, type(row)) for row in profiled.rows]
    other = [("openvino", Unavailable), ("dnnl", Unavailable)]
    assert kinds == [("cpu", Profiled), *other, ("cpu", Profiled), *other]


def test_profile_compares_with_the_first(profiled):
    first, second = (row for row in profiled.rows if isinstance(row, Profiled))
    assert first.speed == ()
    assert [ratio.threads for ratio in second.speed] == [1]
    assert isinstance(first.quality, Judged)
    assert first.quality.accuracy.value.value == 1.0
    floats = [row.size.initializer_bytes["float32"] for row in (first, second)]
    assert floats[0] > 20 * floats[1]  # of the file itself, a stem's zeros are the larger part
    assert not first.quantized
    assert "uint8" in second.quantized


def test_a_missing_provider_names_its_wheel(profiled):
    reasons = {row.provider: row.reason for row in profiled.rows if isinstance(row, Unavailable)}
    assert "onnxruntime-openvino" in reasons["openvino"]
    assert all("\n" not in reason for reason in reasons.values())


def test_profile_without_data_still_measures_time(tiny_task):
    done = onnxq.profile(str(tiny_task.model), **QUICK)
    (row,) = done.rows
    assert isinstance(row.quality, Unjudged)
    assert row.latencies[0].cpu_ns.value > 0


def test_a_model_that_cannot_be_opened_costs_its_rows_alone(tiny_task, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(tiny_task.model.read_bytes()[:600])
    done = onnxq.profile((str(tiny_task.model), str(broken)), **QUICK)
    good, bad = done.rows
    assert isinstance(good, Profiled)
    assert isinstance(bad, NotProfiled)
    assert bad.code == "OQ104"
    with pytest.raises(onnxq.SourceError):
        onnxq.profile(str(broken), **QUICK)


def test_models_without_labels_are_compared_whatever_their_outputs_are_called(tiny_task, tmp_path):
    model = onnx.load(tiny_task.model)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "logits"
    onnx.save(model, tmp_path / "renamed.onnx")
    np.savez(tmp_path / "x.npz", x=np.load(tiny_task.rows)["x"][:50])
    done = onnxq.profile(
        (str(tiny_task.model), str(tmp_path / "renamed.onnx")),
        data=str(tmp_path / "x.npz"),
        **QUICK,
    )
    quality = done.rows[1].quality
    assert isinstance(quality, Compared)
    assert quality.agreement.outputs[0].max_abs_difference == 0.0


def test_the_same_model_twice_is_a_mistake(tiny_task):
    with pytest.raises(onnxq.UsageError, match="named twice"):
        onnxq.profile((str(tiny_task.model), str(tiny_task.model)))


@pytest.mark.parametrize("verb", ["run", "quantize", "convert", "profile"])
def test_a_plan_says_what_would_be_done_and_does_nothing(verb, tiny_task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"run": "data", "quantize": "calib", "convert": "data", "profile": "data"}[verb]
    plan = onnxq.plan(verb, str(tiny_task.model), **{rows: str(tiny_task.rows)})
    assert isinstance(plan, Plan)
    assert plan.verb == verb
    assert plan.sources == {str(tiny_task.model): "ONNX file"}
    assert plan.steps
    assert not list(tmp_path.iterdir())
    assert json.loads(document_to_json(plan))["kind"] == "plan"


def test_the_plan_of_a_run_comes_true(tiny_task, tmp_path):
    asked = {"data": str(tiny_task.rows), "recipe": ("int8", "int8-dynamic"), "limit": 100}
    out = str(tmp_path / "out")
    plan = onnxq.run.plan(str(tiny_task.model), out=out, **asked, **QUICK)
    report = onnxq.run(str(tiny_task.model), out=out, **asked, **QUICK)
    assert set(plan.files) == {path.name for path in (tmp_path / "out").iterdir()}
    assert plan.evaluation_rows == report.data.evaluation_rows
    assert plan.calibration_rows == report.data.calibration_rows
    assert [recipe.alias for recipe in plan.recipes] == [row.alias for row in report.variants]
    assert {step.name for step in plan.steps} >= {"convert", "calibrate", "measure latency"}


def test_a_plan_skips_what_has_no_rows(tiny_task, tmp_path):
    plan = onnxq.run.plan(str(tiny_task.model), out=str(tmp_path / "out"))
    skipped = {recipe.alias: recipe.skipped for recipe in plan.recipes}
    assert skipped["int8"]
    assert not skipped["int8-dynamic"]


@pytest.mark.parametrize("verb", [onnxq.run, onnxq.quantize])
def test_a_plan_refuses_a_named_recipe_that_gets_no_rows(verb, tiny_task, tmp_path):
    asked = {"recipe": ("int8-partial",), "out": str(tmp_path / "out")}
    with pytest.raises(onnxq.RecipeError, match="needs rows to calibrate on") as refused:
        verb.plan(str(tiny_task.model), **asked)
    assert refused.value.code == "OQ162"


def test_a_quantized_model_is_planned_as_it_is_run(tiny_task, tmp_path):
    out = tmp_path / "q.onnx"
    onnxq.quantize(str(tiny_task.model), recipe=("int8-dynamic",), out=str(out))
    plan = onnxq.run.plan(str(out), data=str(tiny_task.rows), out=str(tmp_path / "out"))
    assert [recipe.alias for recipe in plan.recipes] == ["given"]
    assert plan.calibration_rows == 0
    assert not {step.name for step in plan.steps} & {"quantize", "calibrate", "scout"}
    assert "quantized already" in plan.findings[-1].message
    with pytest.raises(onnxq.SourceError, match="is quantized already"):
        onnxq.quantize.plan(str(out), recipe=("int8-dynamic",), out=str(tmp_path / "out"))


def test_a_plan_refuses_what_the_verb_would_refuse(tiny_task, tmp_path):
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(onnxq.OutputError, match=r"mine\.txt"):
        onnxq.run.plan(str(tiny_task.model), out=str(tmp_path))
    with pytest.raises(onnxq.UsageError, match="cannot be planned"):
        onnxq.plan("inspect", str(tiny_task.model))


def test_a_verb_looks_like_the_function_that_it_is():
    signature = inspect.signature(onnxq.convert)
    assert signature.return_annotation is Conversion
    assert "model" in signature.parameters
    assert onnxq.convert.__name__ == "convert"
    assert "Args:" in onnxq.convert.__doc__


def test_static_recipes_without_rows_are_skipped_rows(tiny_task, tmp_path):
    report = onnxq.run(str(tiny_task.model), out=str(tmp_path / "out"), **QUICK)
    row = next(row for row in report.variants if row.alias == "int8")
    assert isinstance(row, Skipped)


def test_recipes_are_described():
    facts = {one.alias: one for one in onnxq.recipes()}
    assert {"int8", "fp16", "int4-weights"} <= set(facts)
    (one,) = onnxq.recipes("int8")
    assert one == facts["int8"]
    with pytest.raises(onnxq.RecipeError, match="int9"):
        onnxq.recipes("int9")


def test_checking_and_planning_make_no_folder(tiny_task, tmp_path):
    out = tmp_path / "a" / "b" / "out"
    onnxq.run.plan(str(tiny_task.model), data=str(tiny_task.rows), out=str(out))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(onnxq.DatasetError):
        onnxq.quantize(str(tiny_task.model), calib=str(tmp_path / "none.npz"), out=str(out))
    assert list(tmp_path.iterdir()) == []


def test_a_run_writes_a_folder_and_no_file(tiny_task, tmp_path):
    with pytest.raises(onnxq.UsageError, match="a run writes a folder"):
        onnxq.run.plan(str(tiny_task.model), out=str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("name", ["mine.toml", "rows.py:rows", "metric.py:fn"])
def test_what_the_user_wrote_is_never_replaced(name, tiny_task, tmp_path):
    file, _, _ = name.partition(":")
    (tmp_path / file).write_text('[recipe.careful]\nrecipe = "int8"\n', encoding="utf-8")
    text = str(tmp_path / name)
    options = {
        "mine.toml": {"recipe": (text,), "data": str(tiny_task.rows)},
        "rows.py": {"data": text},
        "metric.py": {"data": str(tiny_task.rows), "metric": text},
    }[name.removesuffix(":rows").removesuffix(":fn")]
    with pytest.raises(onnxq.UsageError, match="holds") as caught:
        onnxq.run.plan(str(tiny_task.model), out=str(tmp_path), overwrite=True, **options)
    assert file in caught.value.message


def test_a_plan_says_that_a_function_alone_knows_its_rows(tiny_task, tmp_path):
    plan = onnxq.run.plan(str(tiny_task.model), data="rows.py:rows", out=str(tmp_path / "out"))
    assert (plan.evaluation_rows, plan.calibration_rows, plan.detectable_drop) == (-1, -1, 0.0)
    assert plan.disk_bytes == 0, "unknown"


def test_a_plan_counts_what_the_work_folder_holds(tiny_task, tmp_path):
    plan = onnxq.run.plan(
        str(tiny_task.model), data=str(tiny_task.rows), out=str(tmp_path / "out"), seconds=0.5
    )
    rows, models = 400 * 3 * 12 * 12 * 4, tiny_task.model.stat().st_size
    assert rows < plan.disk_bytes < 2 * rows + 20 * models
    assert plan.memory_bytes > 10**8, "the quantizers alone weigh that much"
    (latency,) = (step for step in plan.steps if step.name == "measure latency")
    assert latency.seconds > 5, "five fresh processes of four models"


def renamed(tiny_task, folder):
    """Write the tiny model with other names of its input and output."""
    model = onnx.load(tiny_task.model)
    model.graph.input[0].name, model.graph.output[0].name = "pixels", "logits"
    model.graph.node[0].input[0], model.graph.node[-1].output[0] = "pixels", "logits"
    onnx.save(model, folder / "renamed.onnx")
    return folder / "renamed.onnx"


def test_models_of_other_names_are_fed_and_compared_and_declared_each(tiny_task, tmp_path):
    other = renamed(tiny_task, tmp_path)
    done = onnxq.profile(
        (str(tiny_task.model), str(other)),
        data=str(tiny_task.rows),
        input=("x:Nx3x12x12", "pixels:Nx3x12x12"),
        **QUICK,
    )
    first, second = done.rows
    assert isinstance(first, Profiled)
    assert isinstance(second, Profiled)
    assert second.quality.agreement.outputs[0].sqnr_db > 100
    assert second.quality.accuracy.drop.value == 0


def test_weights_are_for_the_factory_among_models(tiny_task, tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "nets.py").write_text("", encoding="utf-8")
    factory = f"{tmp_path / 'nets.py'}:build"
    with onnxq.profile.planned((str(tiny_task.model), factory), weights=str(weights)) as plan:
        assert plan.models[factory].source.weights.path == str(weights)
    with (
        pytest.raises(onnxq.UsageError, match="--weights"),
        onnxq.profile.planned((str(tiny_task.model),), weights=str(weights)),
    ):
        pass


def test_models_are_timed_at_one_batch(tiny_task, tmp_path):
    models = [str(tiny_task.model)]
    for rows in (4, 8):
        model = onnx.load(tiny_task.model)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = rows
        onnx.save(model, tmp_path / f"batch{rows}.onnx")
        models.append(str(tmp_path / f"batch{rows}.onnx"))
    free, four, eight = onnxq.profile(tuple(models), **QUICK).rows
    assert isinstance(free, Profiled)
    assert isinstance(four, Profiled)
    assert free.latencies[0].batch_rows == four.latencies[0].batch_rows == 4
    assert isinstance(eight, NotProfiled)
    assert "a batch of 4 was asked for, and the model's is fixed at 8" in eight.reason
