"""The documents of the verbs beside run, on every screen."""

import re
import tomllib

import pytest
from msgspec.structs import replace
from rich.console import Console
from sample_documents import (
    STOPPED_EARLY,
    calibration,
    calibration_plan,
    conversion,
    merged_calibration,
    plan,
    profile,
    profiled,
    providers_profile,
    quantization,
    recipes,
    repair,
    shard_calibration,
    small_plan,
    unchecked_conversion,
    unloadable_repair,
    unmeasured_repair,
)
from sample_reports import DYNAMIC, DYNAMIC_TIMES, FP32, FP32_TIMES, INT8, estimate

from onnxq import recipe_files
from onnxq.cli.charset import text_columns
from onnxq.cli.profile_rows import rows_of
from onnxq.cli.profile_words import summary
from onnxq.cli.render_calibration import render_calibration
from onnxq.cli.render_conversion import render_conversion
from onnxq.cli.render_plan import render_plan
from onnxq.cli.render_profile import render_profile
from onnxq.cli.render_quantization import render_quantization
from onnxq.cli.render_recipes import render_recipe, render_recipes
from onnxq.cli.render_repair import render_repair
from onnxq.cli.screen import Screen
from onnxq.findings import Finding
from onnxq.measurements import SpeedRatio

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COMMAND = ("onnxq", "run", "model.keras", "--plan")
DRAWN = {
    "conversion": lambda screen: render_conversion(conversion(), screen, files=("a.onnx",)),
    "unchecked": lambda screen: render_conversion(unchecked_conversion(), screen),
    "quantization": lambda screen: render_quantization(quantization(), screen),
    "everything": lambda screen: render_quantization(quantization(), screen, everything=True),
    "repair": lambda screen: render_repair(repair(), screen, files=("a.onnx",)),
    "every step": lambda screen: render_repair(repair(), screen, everything=True),
    "unloadable": lambda screen: render_repair(unloadable_repair(), screen),
    "unmeasured": lambda screen: render_repair(unmeasured_repair(), screen),
    "calibration": lambda screen: render_calibration(calibration(), screen, files=("a",)),
    "every range": lambda screen: render_calibration(
        replace(calibration(), effort=STOPPED_EARLY), screen, everything=True
    ),
    "shard": lambda screen: render_calibration(shard_calibration(), screen, files=("a",)),
    "merged": lambda screen: render_calibration(merged_calibration(), screen),
    "calibration plan": lambda screen: render_plan(calibration_plan(), screen, COMMAND),
    "profile": lambda screen: render_profile(profile(), screen),
    "providers": lambda screen: render_profile(providers_profile(), screen),
    "plan": lambda screen: render_plan(plan(), screen, COMMAND),
    "small plan": lambda screen: render_plan(small_plan(), screen, COMMAND),
    "recipes": lambda screen: render_recipes(recipes(), screen),
}


def plain(text):
    return ESCAPE.sub("", text)


def flowed(text):
    return " ".join(plain(text).split())


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_longer_than_the_screen(name, columns, ascii_only):
    text = DRAWN[name](Screen(columns=columns, ascii_only=ascii_only))
    assert max(map(text_columns, text.splitlines())) <= columns
    assert text.isascii() or not ascii_only
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", DRAWN)
def test_colour_says_nothing_that_the_text_does_not(name):
    coloured = DRAWN[name](Screen(color=True))
    lines = [line.rstrip() for line in plain(coloured).splitlines()]
    assert lines == DRAWN[name](Screen()).splitlines()
    assert "\x1b" in coloured


@pytest.mark.parametrize("name", DRAWN)
def test_text_is_the_only_thing_that_rich_is_given(monkeypatch, name):
    """A str would be parsed for markup."""
    seen = []
    real = Console.print

    def spy(self, *things, **options):
        seen.extend(things)
        return real(self, *things, **options)

    monkeypatch.setattr(Console, "print", spy)
    DRAWN[name](Screen())
    assert seen
    assert not any(isinstance(thing, str) for thing in seen)


# Conversion.


def test_a_conversion_says_how_it_was_proven():
    text = flowed(DRAWN["conversion"](Screen()))
    assert "Equal to the source within 2.1e-06 (6 comparisons)." in text
    assert "logits negated 3 2.1e-06 4.0e-07" in text
    assert "x float32 [N, 3, 224, 224]" in text
    assert "Next with rows of yours: onnxq run /data/onnxq-out/resnet18.onnx --data val.npz" in text


def test_a_conversion_that_was_not_compared_says_so():
    text = flowed(DRAWN["unchecked"](Screen()))
    assert "Not compared with the source: --no-check." in text
    assert "Compared with the source" not in text
    assert "Wrote nothing." in text


def test_a_path_with_a_space_can_be_pasted():
    text = render_conversion(conversion(), Screen(), out="my models", files=("a.onnx",))
    assert "Next  with rows of yours: onnxq run 'my models/resnet18.onnx' --data val.npz" in text


# Quantization.


def test_every_state_of_a_quantization_has_a_row_and_a_reason():
    text = DRAWN["quantization"](Screen(columns=120))
    for words in ("int8-a ", "int8-b ", "int8-c ", "skipped", "n/a", "unusable", "failed"):
        assert words in text
    assert "failed (OQ171): the quantizer stopped" in text
    assert "static-uint8-int8-perchannel-mse" in text


def test_what_stayed_in_float_is_told_once():
    brief = flowed(DRAWN["quantization"](Screen()))
    full = flowed(DRAWN["everything"](Screen()))
    assert "/avgpool/ReduceMean and 1 more (no integer kernel)" in brief
    assert "/head/Softmax" not in brief
    assert "/head/Softmax no integer kernel" in full
    assert "and 1 more" not in full


def test_the_next_command_profiles_what_was_built():
    screen = Screen(columns=120)
    text = flowed(render_quantization(quantization(), screen, out="q", files=("a",)))
    assert "onnxq profile resnet18.onnx q/resnet18.int8.onnx q/resnet18.int4-weights.onnx" in text
    one = flowed(render_quantization(quantization(), Screen(), out="s.onnx", files=("s.onnx",)))
    assert "Wrote s.onnx" in one
    assert "onnxq profile resnet18.onnx s.onnx --data" in one


def test_nothing_built_is_nothing_to_profile():
    done = quantization()
    lost = replace(done, variants=done.variants[2:])
    text = render_quantization(lost, Screen())
    assert "Next" not in text
    assert "Wrote nothing." in text


# Repair.


def test_a_repair_says_how_much_faster_and_how_near():
    text = flowed(DRAWN["repair"](Screen(columns=120)).replace("│", " "))
    assert "faster (1 thread CPU, ±" in text
    assert "As served, rounding noise is 27.9 dB below the outputs, 28.1 before." in text
    assert "Outputs 40.9 dB apart as served, where the given file's are 43.1 dB from" in text
    assert "21 of 21 convolutions and matrix products on integer kernels, 0 of 21 before" in text
    assert "onnxq profile modelopt.onnx /data/onnxq-out/modelopt.repaired.onnx --data" in text


def test_every_step_says_what_it_did_to_the_outputs():
    text = flowed(DRAWN["repair"](Screen(columns=120)))
    assert "fold-weights 21 bit-exact 28.4 equal" in text
    assert "shift-activations 42 bit-exact 28.4 equal as served 1" in text
    assert "as it is served, equal; without them 52.5 dB apart." in text
    assert "8 approximate 27.9 46.2 dB 2" in text
    assert "absorb-clip 2 bit-exact 22.9 left out 3" in text
    assert "8 ranges were taken from the rows." in text
    assert "Left out: outputs changed, and they must not." in text
    assert "four times the room" not in text


def test_everything_says_what_each_step_is_good_for_and_where():
    text = flowed(DRAWN["every step"](Screen(columns=120)))
    assert "four times the room. At /stem/Conv, /layer1/Conv and 19 more." in text


def test_a_repair_that_was_not_measured_says_so():
    text = flowed(DRAWN["unmeasured"](Screen()))
    text = text.replace("│ │", "").replace("  ", " ")
    assert "Repaired, not measured. Outputs equal to the last bit without" in text
    assert "as served 21.2 dB apart, where the given file's are 20.8 dB from its own" in text
    assert "compared on random rows; --calib takes yours" in text
    assert "1 thread" not in text


def test_a_model_that_could_not_be_loaded_has_no_time_to_compare_with():
    text = flowed(DRAWN["unloadable"](Screen(columns=120)))
    assert "It can be served now, as the given model cannot" in text
    assert "as given 46.8 - - - - - -" in text
    assert "0 of 0" not in text
    assert "0 before" not in text
    assert "onnxq profile /data/onnxq-out/modelopt.repaired.onnx --data val.npz" in text
    assert "speed" not in text


def boxed(done):
    """Return what the box says, in one line."""
    return flowed(render_repair(done, Screen(columns=120)).replace("│", " "))


def test_equality_is_told_as_it_is_served_and_without_optimizations():
    served = replace(unmeasured_repair(), is_equal=False, sqnr_db=19.3)
    served = replace(served, is_equal_served=True, served_sqnr_db=200.0)
    said = "Outputs equal to the last bit as served; without onnxruntime's optimizations 19.3 dB"
    assert said in boxed(served)
    both = replace(served, is_equal=True, sqnr_db=200.0)
    assert "to the last bit, with onnxruntime's optimizations and without." in boxed(both)


def test_a_given_file_that_is_broken_as_it_is_served_is_told():
    done = replace(repair(), unrounded_db_before=13.2, served_unrounded_db_before=-0.4)
    said = boxed(replace(done, unrounded_db=12.1))
    assert "As served, rounding noise is 12.1 dB below the outputs, -0.4 before:" in said
    assert "optimizations break the given file, which has 13.2 dB without them." in said


def test_what_cannot_be_compared_is_no_number():
    none = {"sqnr_db": -200.0, "served_sqnr_db": -200.0, "unrounded_db": -200.0}
    done = replace(repair(), **none, served_unrounded_db_before=-200.0)
    steps = tuple(replace(step, sqnr_db=-200.0, unrounded_db=-200.0) for step in done.steps)
    for everything in (False, True):
        text = render_repair(replace(done, steps=steps), Screen(), everything=everything)
        assert "200" not in text


def test_what_runs_no_better_says_which_file_to_keep():
    done = unmeasured_repair()
    same = boxed(replace(done, after=done.before))
    assert "no more runs on integer kernels, keep the given file" in same
    slower = estimate(0.5, 0.01)
    speed = (SpeedRatio(threads=1, clock="cpu", ratio=slower, wall_ratio=slower),)
    once = {"latencies_before": FP32.latencies[:1], "latencies_after": INT8.latencies[:1]}
    assert "keep the given file" in boxed(replace(repair(), speed=speed, **once))


@pytest.mark.parametrize("value", [2.31, 12.31])
def test_the_box_rounds_as_the_table_does(value):
    faster = estimate(value, 0.236)
    speed = (SpeedRatio(threads=1, clock="cpu", ratio=faster, wall_ratio=faster),)
    once = {"latencies_before": FP32.latencies[:1], "latencies_after": INT8.latencies[:1]}
    text = flowed(render_repair(replace(repair(), speed=speed, **once), Screen(columns=120)))
    assert len(set(re.findall(r"±0\.\d+", text))) == 1


def test_nothing_to_repair_is_said_and_nothing_comes_next():
    text = flowed(render_repair(replace(unmeasured_repair(), steps=()), Screen()))
    assert "Nothing was changed: keep the given file" in text
    assert "Step by step" not in text
    assert "Next" not in text


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "As fast as before (1 thread CPU, 95% interval"), (0.5, "Slower than before, 0.50")],
)
def test_a_repair_that_brought_nothing_says_so(value, said):
    ratio = estimate(value, 0.01)
    speed = (SpeedRatio(threads=1, clock="cpu", ratio=ratio, wall_ratio=ratio),)
    once = {"latencies_before": FP32.latencies[:1], "latencies_after": INT8.latencies[:1]}
    assert said in flowed(render_repair(replace(repair(), speed=speed, **once), Screen()))


# Profile.


def test_rows_are_called_by_their_files_and_by_what_tells_them_apart():
    assert [row.alias for row in rows_of(profile()).variants] == [
        "float.onnx",
        "resnet18.int8.onnx",
        "resnet18.int8-dynamic.onnx",
    ]
    assert list(rows_of(providers_profile()).sources) == [
        "a/m.onnx on cpu",
        "a/m.onnx on openvino",
        "b/m.onnx on cpu",
        "b/m.onnx on openvino",
    ]


def test_findings_are_told_by_the_rows_that_they_are_about():
    rows = rows_of(profile())
    assert rows.findings[0].subject == "resnet18.int8.onnx"
    two = Finding(code="OQ128", subject="b/m.onnx on cpu", message="rows were cast")
    rows = rows_of(replace(providers_profile(), findings=(two,)))
    assert rows.findings[0].subject == "b/m.onnx on cpu"


def test_the_reference_is_the_first_row_that_ran():
    every = providers_profile().rows
    rows = rows_of(replace(profile(), rows=(every[4], every[0], every[1])))
    assert rows.reference == "a/m.onnx on cpu"


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (2.31, 0.04, "a.onnx is 2.31\u00d7 faster than float.onnx (1 thread CPU, ±0.04)."),
        (1.01, 0.03, "None is clearly faster than float.onnx (1 thread CPU)."),
        (0.5, 0.03, "None is as fast as float.onnx (1 thread CPU)."),
    ],
)
def test_the_summary_is_no_bolder_than_the_interval(value, half, said):
    ratio = estimate(value, half)
    speed = (SpeedRatio(threads=1, clock="cpu", ratio=ratio, wall_ratio=ratio),)
    other = replace(profiled("a.onnx", INT8, ()), speed=speed)
    first = profiled("float.onnx", FP32, FP32_TIMES)
    assert summary(rows_of(replace(profile(), rows=(first, other)))) == said


def test_one_model_is_not_compared_with_anything():
    alone = replace(profile(), rows=(profiled("float.onnx", FP32, FP32_TIMES),), findings=())
    text = render_profile(alone, Screen())
    assert "faster" not in text
    assert "24.10" in text


def test_one_model_shows_the_interval_of_its_own_value():
    alone = replace(profile(), rows=(profiled("float.onnx", FP32, FP32_TIMES),), findings=())
    text = flowed(render_profile(alone, Screen(columns=120)))
    assert "95% interval" in text
    assert "reference" not in text


def test_a_profile_has_no_limits_and_no_verdict():
    """A drop of 2 pp is a number here, not a breach."""
    text = flowed(render_profile(profile(), Screen(columns=120)))
    for word in ("limit", "Ship", "Keep", "fp32"):
        assert word not in text


def test_a_slow_model_says_because():
    rows = (
        profiled("float.onnx", FP32, FP32_TIMES),
        profiled("d.onnx", DYNAMIC, DYNAMIC_TIMES),
    )
    text = flowed(render_profile(replace(profile(), rows=rows), Screen(columns=120)))
    assert "slower than float.onnx here: 91% of its time is in 20 nodes of ConvInteger" in text


def test_a_provider_that_is_not_there_is_one_line_whatever_the_models():
    text = DRAWN["providers"](Screen(columns=120))
    assert text.count("--use_dnnl") == 1
    assert "dnnl: this onnxruntime does not have it" in text


def test_what_another_provider_left_is_shown_where_there_is_one():
    assert "left to" not in DRAWN["profile"](Screen(columns=120))
    text = DRAWN["providers"](Screen(columns=120))
    assert "left to" in text
    assert "12% of its nodes were run by cpu instead." in text


# Plan and recipes.


def test_a_plan_says_what_the_rows_can_show_and_what_to_type_next():
    text = flowed(DRAWN["plan"](Screen()))
    assert "1000 rows to judge on, 256 rows to calibrate on" in text
    assert "one of 1.9 pp can be expected to show" in text
    assert "about 1 min 31 s, without quantize" in text
    assert "1 int8 skipped: it needs rows to calibrate on." in text
    assert "memory about 1.1 GB" in text
    assert text.endswith("Next onnxq run model.keras")


def test_a_plan_says_nothing_of_what_it_does_not_know():
    text = DRAWN["small plan"](Screen())
    for word in ("Steps", "Recipes", "memory", "disk", "time", "drop"):
        assert word not in text
    assert "writes nothing" in text


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.alias)
@pytest.mark.parametrize("columns", [40, 80])
def test_a_recipe_is_shown_as_a_file_that_says_the_same(recipe, columns):
    named = recipe_files.resolve_recipes(recipe.alias)
    screen = Screen(columns=columns)
    text = render_recipe((recipe,), recipe_files.render_recipes(named), screen)
    assert tomllib.loads(text)
    assert recipe_files.parse_recipes(text, "stdout") == named
    assert recipe.name in text.replace("\n#   ", "")
    assert max(map(len, text.splitlines())) <= columns or columns < 80
