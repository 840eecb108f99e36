"""The command that comes next carries what was typed, and can be pasted."""

import shlex

import pytest
from msgspec.structs import replace
from sample_documents import calibration, conversion, quantization, shard_calibration
from sample_reports import regression, report

from onnxq.cli.following import (
    inserted,
    merging_command,
    profiling_command,
    quantizing_command,
    running_command,
    typed_words,
)
from onnxq.cli.main import onnxq as group
from onnxq.cli.report_words import command_lines, next_step
from onnxq.cli.screen import Screen
from onnxq.reports import NoData

BUILDING = "--recipe int8-minmax --operator Conv --keep-float head/* --io uint8"
MODEL = "--weights w.pth --input x:Nx3 --signature s --trust --no-check"


def typed(line):
    return tuple(shlex.split(line))


def after(line, **changes):
    """What quantizes after a command that calibrated."""
    done = replace(calibration(), command=typed(line), **changes)
    return shlex.join(quantizing_command(done, "o/m.ranges.json"))


def parsed(command):
    """What click makes of a command."""
    context = group.commands[command[1]].make_context(command[1], list(command[2:]))
    return context.params


@pytest.mark.parametrize(
    ("line", "names", "words"),
    [
        ("onnxq run m -rint8 --recipe=fp16 -qv", ("recipe",), "--recipe int8 --recipe fp16"),
        ("onnxq run --io uint8 -- -m.onnx", ("recipe", "io"), "--io uint8"),
        ("onnxq run m --io float", ("io",), "--io float"),
        ("onnxq run m --trust --no-check", ("check", "trust", "weights"), "--no-check --trust"),
        ("onnxq merge m a b", ("recipe",), ""),
        ("onnxq calibrate m", ("check",), ""),
    ],
)
def test_what_was_typed_is_found_again(line, names, words):
    assert typed_words(typed(line), names) == typed(words)


def test_ranges_are_quantized_with_the_options_that_they_were_chosen_for():
    said = after(f"onnxq calibrate m --calib c.npz {MODEL} {BUILDING} --preprocess zero-one -o o")
    command = typed(said)
    assert command[:3] == ("onnxq", "quantize", "resnet18.onnx")
    options = parsed(command)
    wanted = parsed(typed(f"onnxq quantize m {MODEL} {BUILDING} --preprocess zero-one"))
    wanted |= {"model": "resnet18.onnx", "ranges": "o/m.ranges.json"}
    assert options == wanted


def test_the_recipe_that_is_built_anyway_is_not_named():
    assert after("onnxq calibrate m --calib c.npz -r int8") == (
        "onnxq quantize resnet18.onnx --ranges o/m.ranges.json"
    )
    both = after("onnxq merge m a b -r int8 -r int8-minmax")
    assert "--recipe int8 --recipe int8-minmax" in both


def test_a_module_whose_inputs_were_those_of_rows_has_them_declared():
    source = replace(calibration().source, given="nets.py:build", framework="torch")
    line = "onnxq calibrate nets.py:build --weights w.pth --calib c.npz"
    assert "--weights w.pth --input x:Nx3x224x224 " in after(line, source=source)
    assert after(f"{line} --input x:Mx3", source=source).count("--input") == 1
    assert "--input" not in after(line, source=replace(source, framework="keras"))


@pytest.mark.parametrize(
    "line",
    [
        "onnxq calibrate m.onnx --calib c.npz",
        "onnxq merge m.onnx onnxq-out/m.1of2.statistics b/m.2of2.statistics",
    ],
)
def test_nothing_is_written_where_files_lie_that_were_named(line):
    done = replace(calibration(), command=typed(line))
    ranges = "onnxq-out/m.ranges.json" if "calibrate" in line else "o/m.ranges.json"
    assert quantizing_command(done, ranges)[-2:] == ("--out", "onnxq-out-quantize")


def test_a_part_is_merged_with_the_options_of_all_parts():
    line = f"onnxq calibrate m --calib c.npz --shard 2/4 {MODEL} {BUILDING}"
    done = replace(shard_calibration(), command=typed(line))
    options = parsed(merging_command(done, ["p/m.2of4.statistics"]))
    wanted = parsed(typed(f"onnxq merge resnet18.onnx p/m.2of4.statistics {MODEL} {BUILDING}"))
    assert options == wanted
    beside = merging_command(done, ["onnxq-out/m.2of4.statistics"])
    assert beside[-2:] == ("--out", "onnxq-out-merge")


def test_what_was_quantized_is_measured_as_it_was_read():
    line = f"onnxq quantize m --calib c.npz {MODEL} {BUILDING} --preprocess imagenet --map x=a"
    command = profiling_command(replace(quantization(), command=typed(line)), ["o/a.onnx"])
    options = parsed(command)
    assert options["models"] == ("resnet18.onnx", "o/a.onnx")
    for name, value in {"weights": "w.pth", "trust": True, "preprocess": "imagenet"}.items():
        assert options[name] == value
    assert options["map"] == ("x=a",)


def test_what_was_converted_is_run_on_the_rows_that_were_typed():
    line = "onnxq convert m.keras --data images/ --preprocess imagenet"
    command, has_rows = running_command(
        replace(conversion(), command=typed(line)), "onnxq-out/m.onnx"
    )
    assert has_rows
    assert shlex.join(command) == (
        "onnxq run onnxq-out/m.onnx --data images/ --preprocess imagenet --out onnxq-out-run"
    )
    command, has_rows = running_command(conversion(), "m.onnx")
    assert not has_rows
    assert shlex.join(command) == "onnxq run m.onnx --data val.npz"


def test_a_run_without_rows_is_to_be_given_some():
    nothing = replace(report(), data=NoData(), command=("onnxq", "run", "--", "-m.onnx"))
    assert next_step(nothing, "o") == (
        "the same with rows of yours: ",
        ("onnxq", "run", "--data", "val.npz", "--", "-m.onnx"),
    )
    assert inserted(("onnxq", "run"), ("-q",)) == ("onnxq", "run", "-q")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_command_of_several_lines_can_be_pasted(columns):
    command = ("onnxq", "quantize", "my model.onnx", *(f"--keep-float=n{i}/*" for i in range(9)))
    lines = command_lines("Next  ", command, columns)
    assert max(map(len, lines)) <= columns
    pasted = "\n".join(lines).removeprefix("Next  ")
    assert typed(pasted.replace("\\\n", "")) == command
    assert len(lines) > 1
    assert Screen(columns=columns).spell(lines[0]) == lines[0]


def test_an_answer_that_depends_on_threads_is_settled_by_naming_them():
    again = ("onnxq", "run", "m.onnx", "--threads", "2", "--threads=4", "-o", "o")
    done = replace(
        regression(),
        command=again,
        verdict=replace(regression().verdict, threads=1),
    )
    words, command = next_step(done, "o")
    assert words == "the same for the threads that you serve with: "
    assert command == ("onnxq", "run", "m.onnx", "-o", "o", "--threads", "1")
