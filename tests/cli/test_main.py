"""Flags become calls; results and errors go where they belong, with the right exit code."""

import inspect as reflection
import json
import os
import subprocess
import sys

import msgspec
import pytest
from sample_documents import (
    calibration,
    conversion,
    merged_calibration,
    plan,
    profile,
    quantization,
    recipes,
    repair,
)
from sample_inspections import DOCTOR, INSPECTION
from sample_reports import DYNAMIC, FP32, INT8, interrupted, report, shipping

from onnxq import verbs
from onnxq.cli.main import main
from onnxq.errors import DatasetError, Interrupted, UsageError
from onnxq.events import Progressed, StageDone, StageStarted
from onnxq.reports import report_from_json, report_to_json

RUN = reflection.signature(verbs.run)
ANSWERS = {
    "run": shipping(),
    "convert": conversion(),
    "quantize": quantization(),
    "repair": repair(),
    "calibrate": calibration(),
    "merge": merged_calibration(),
    "profile": profile(),
    "inspect": INSPECTION,
    "doctor": DOCTOR,
}


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Verbs that record what they are called with and give a made-up answer."""
    seen = []

    def fake(name, answer):
        def verb(*args, **kwargs):
            kwargs["tell"](StageStarted("convert", "m.onnx"))
            kwargs["tell"](Progressed("convert", 1, 2))
            kwargs["tell"](StageDone("convert", "opset 17", 1.25))
            seen.append((name, args, kwargs))
            return answer

        monkeypatch.setattr(verbs, name, verb)

    for name, answer in ANSWERS.items():
        fake(name, answer)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return seen


@pytest.fixture
def plans(monkeypatch):
    seen = []

    def fake(verb, *args, **options):
        seen.append((verb, *args, options))
        return plan()

    monkeypatch.setattr(verbs, "plan", fake, raising=False)
    return seen


@pytest.fixture
def known_recipes(monkeypatch):
    def fake(name=""):
        return tuple(one for one in recipes() if name in {"", one.alias})

    monkeypatch.setattr(verbs, "recipes", fake, raising=False)


def raising(monkeypatch, error):
    def verb(*_, **__):
        raise error

    monkeypatch.setattr(verbs, "run", verb)


def broken_limits():
    verdict = msgspec.structs.replace(shipping().verdict, limits_met=False)
    return report(variants=(FP32, INT8, DYNAMIC), verdict=verdict)


# Flags arrive.


def test_without_flags_the_verb_gets_its_defaults(calls, capfd):
    assert main(["run", "m.onnx"]) == 0
    ((_, args, kwargs),) = calls
    assert args == ("m.onnx",)
    for name, value in kwargs.items():
        if name not in {"tell", "command"}:
            assert value == RUN.parameters[name].default, name
    assert kwargs["command"] == ("onnxq", "run", "m.onnx")
    capfd.readouterr()


def test_every_flag_arrives(calls, capfd):
    line = (
        "run nets.py:build --weights w.pth --input x:Nx3 --input y:N -d v.npz --calib c.npz "
        "--preprocess imagenet --map x=a --map y=b --classes c.txt -r int8 -r fp32 --max-drop 1pp "
        "--min-speedup 1.5x --max-size 20MB --threads 1 --threads 2 --batch 4 --seconds 3 "
        "--limit 9 --seed 7 -o out --overwrite --no-check --allow-chance-accuracy --trust "
        "--signature serve --metric top5 --judge-output logits --operator Conv --operator MatMul "
        "--skip-operator Softmax --keep-float head/* --io uint8 --strict --calib-rows auto "
        "--histogram-sample 8 --max-memory 2GB --cache-dir kept --no-cache --target x86 "
        "--rewrite a --skip-rewrite b --skip-rewrite c"
    )
    words = line.split()
    assert main(words) == 0
    ((_, args, kwargs),) = calls
    kwargs.pop("tell")
    assert args == ("nets.py:build",)
    assert kwargs == {
        "trust": True,
        "signature": "serve",
        "metric": "top5",
        "judge_output": "logits",
        "operator": ("Conv", "MatMul"),
        "skip_operator": ("Softmax",),
        "keep_float": ("head/*",),
        "io": "uint8",
        "strict": True,
        "weights": "w.pth",
        "input": ("x:Nx3", "y:N"),
        "data": "v.npz",
        "calib": "c.npz",
        "preprocess": "imagenet",
        "map": ("x=a", "y=b"),
        "classes": "c.txt",
        "recipe": ("int8", "fp32"),
        "max_drop": "1pp",
        "min_speedup": "1.5x",
        "max_size": "20MB",
        "threads": (1, 2),
        "batch": 4,
        "seconds": 3.0,
        "limit": 9,
        "seed": 7,
        "out": "out",
        "overwrite": True,
        "check": False,
        "allow_chance_accuracy": True,
        "calib_rows": "auto",
        "histogram_sample": 8,
        "max_memory": "2GB",
        "cache_dir": "kept",
        "cache": False,
        "target": "x86",
        "rewrite": ("a",),
        "skip_rewrite": ("b", "c"),
        "command": ("onnxq", *words),
    }
    capfd.readouterr()


def test_the_flags_of_the_calibrating_verbs_arrive(calls, capfd):
    for line in (
        "calibrate m.onnx --calib c.npz --shard 2/4 --calib-rows 64",
        "merge m.onnx a.statistics b.statistics -r int8",
        "quantize m.onnx --ranges m.ranges.json",
    ):
        assert main(line.split()) == 0
    (_, calibrated, asked), (_, merged, _), (_, _, quantized) = calls
    assert calibrated == ("m.onnx",)
    assert (asked["calib"], asked["shard"], asked["calib_rows"]) == ("c.npz", "2/4", "64")
    assert (asked["histogram_sample"], asked["cache"], asked["cache_dir"]) == (1, True, "")
    assert merged == ("m.onnx", ("a.statistics", "b.statistics"))
    assert quantized["ranges"] == "m.ranges.json"
    capfd.readouterr()


def test_the_flags_of_repair_arrive(calls, capfd):
    line = (
        "repair m.onnx --input t:Nx8:int64:0..9 --calib c.npz --preprocess zero-one --map x=images "
        "--limit 9 --target arm64 --rewrite a --skip-rewrite b --no-measure --threads 2 --batch 4 "
        "--seconds 3 --seed 7 -o out --overwrite"
    )
    assert main(line.split()) == 0
    ((name, args, options),) = calls
    assert (name, args) == ("repair", ("m.onnx",))
    del options["tell"], options["command"]
    assert options == {
        "input": ("t:Nx8:int64:0..9",),
        "calib": "c.npz",
        "preprocess": "zero-one",
        "map": ("x=images",),
        "limit": 9,
        "target": "arm64",
        "rewrite": ("a",),
        "skip_rewrite": ("b",),
        "measure": False,
        "threads": (2,),
        "batch": 4,
        "seconds": 3.0,
        "seed": 7,
        "out": "out",
        "overwrite": True,
    }
    capfd.readouterr()


# What goes where.


@pytest.mark.usefixtures("calls")
def test_the_report_goes_to_stdout_and_progress_to_stderr(capfd):
    assert main(["run", "m.onnx"]) == 0
    out, err = capfd.readouterr()
    assert "Ship int8 on this CPU" in out
    assert err == "convert  opset 17  1.2 s\n"


@pytest.mark.usefixtures("calls")
def test_quiet_leaves_progress_out_and_very_quiet_the_report(capfd):
    assert main(["run", "m.onnx", "-q"]) == 0
    out, err = capfd.readouterr()
    assert out
    assert not err
    assert main(["run", "m.onnx", "-qq"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("calls")
def test_verbose_adds_the_code_that_serves(capfd):
    assert main(["run", "m.onnx", "-v"]) == 0
    assert "ort.InferenceSession(" in capfd.readouterr().out


@pytest.mark.usefixtures("calls")
def test_json_is_alone_on_stdout_and_is_the_report(capfdbinary):
    assert main(["run", "m.onnx", "--json"]) == 0
    out, err = capfdbinary.readouterr()
    assert out == report_to_json(shipping())
    assert report_from_json(out, origin="stdout") == shipping()
    assert b"convert" in err


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("run m.onnx", "report"),
        ("convert m.keras", "conversion"),
        ("quantize m.onnx", "quantization"),
        ("repair m.onnx", "repair"),
        ("repair m.onnx --plan", "plan"),
        ("calibrate m.onnx --calib c.npz", "calibration"),
        ("merge m.onnx a.statistics b.statistics", "calibration"),
        ("calibrate m.onnx --plan", "plan"),
        ("merge m.onnx a.statistics --plan", "plan"),
        ("profile m.onnx n.onnx", "profile"),
        ("inspect m.onnx", "inspection"),
        ("doctor", "doctor"),
        ("run m.onnx --plan", "plan"),
        ("profile m.onnx --plan", "plan"),
        ("recipes", "recipes"),
        ("recipes show int8", "recipes"),
    ],
)
@pytest.mark.usefixtures("calls", "plans", "known_recipes")
def test_documents_are_tagged_by_kind(capfd, words, kind):
    assert main([*words.split(), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["kind"] == kind


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("convert m.keras", "Equal to the source within 2.1e-06"),
        ("quantize m.onnx", "18 of 21 nodes quantized"),
        ("repair m.onnx", "rounding noise is 27.9 dB"),
        ("calibrate m.onnx", "Calibrated  256 rows, 14 tensors watched, 1 pass"),
        (
            "merge m.onnx a.statistics",
            "Calibrated  512 rows, 14 tensors watched, merged from parts",
        ),
        ("profile m.onnx n.onnx", "faster than float.onnx"),
        ("run m.onnx --plan", "a plan, nothing was done"),
        ("recipes", "int8-minmax"),
        ("recipes show int8", "# int8: "),
    ],
)
@pytest.mark.usefixtures("calls", "plans", "known_recipes")
def test_verbs_print_text(capfd, words, said):
    assert main(words.split()) == 0
    assert said in capfd.readouterr().out
    assert main([*words.split(), "-qq"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        "convert m",
        "quantize m",
        "repair m",
        "calibrate m",
        "merge m p",
        "profile m",
        "inspect m",
        "doctor m",
    ],
)
@pytest.mark.usefixtures("calls")
def test_the_stages_of_every_verb_are_told(capfd, words):
    assert main(words.split()) == 0
    assert capfd.readouterr().err == "convert  opset 17  1.2 s\n"


def test_a_plan_is_asked_for_with_the_same_options(calls, plans, capfd):
    for words in ("convert m.keras --no-check", "profile a.onnx b.onnx --seconds 3"):
        assert main([*words.split(), "--plan"]) == 0
    assert not calls
    (verb, model, options), (second, models, others) = plans
    assert (verb, model, options["check"]) == ("convert", "m.keras", False)
    assert (second, models, others["seconds"]) == ("profile", ("a.onnx", "b.onnx"), 3.0)
    assert "Next  onnxq convert m.keras --no-check" in capfd.readouterr().out
    assert main(["inspect", "m.onnx", "--plan"]) == 2


def test_a_merge_is_planned_with_its_parts(plans, capfd):
    assert main(["merge", "m.onnx", "a.statistics", "b.statistics", "--plan"]) == 0
    ((verb, model, options),) = plans
    assert (verb, model) == ("merge", "m.onnx")
    assert options["parts"] == ("a.statistics", "b.statistics")
    assert "Next  onnxq merge m.onnx a.statistics b.statistics" in capfd.readouterr().out


@pytest.mark.usefixtures("calls")
def test_verbose_shows_every_range(capfd):
    assert main(["calibrate", "m.onnx"]) == 0
    assert "and 4 more" in capfd.readouterr().out
    assert main(["calibrate", "m.onnx", "-v"]) == 0
    out = capfd.readouterr().out
    assert "more:" not in out


def test_a_quantization_names_what_lies_in_its_folder(calls, capfd, tmp_path):
    (tmp_path / "small.onnx").touch()
    assert main(["quantize", "m.onnx", "-o", "small.onnx", "-v"]) == 0
    out = capfd.readouterr().out
    assert "Wrote small.onnx" in out
    assert "Left in float by int8" in out
    assert "/head/Softmax" in out
    assert calls


@pytest.mark.usefixtures("calls")
def test_inspect_and_doctor_print_text(capfd):
    assert main(["inspect", "m.onnx"]) == 0
    assert "43 quantized tensors" in capfd.readouterr().out
    assert main(["inspect", "m.onnx", "-v"]) == 0
    assert "more:" not in capfd.readouterr().out
    assert main(["doctor"]) == 0
    assert "VNNI" in capfd.readouterr().out


@pytest.mark.usefixtures("calls")
def test_json_lines_are_not_wrapped(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["run", "m.onnx", "--json"]) == 0
    assert max(map(len, capfd.readouterr().out.splitlines())) > 80


@pytest.mark.usefixtures("calls")
def test_colour_can_be_forced_and_forbidden(capfd, monkeypatch):
    for words, environ, expected in [
        (["--color", "always"], {}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ([], {}, False),
    ]:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert main(["run", "m.onnx", *words]) == 0
        assert ("\x1b[" in capfd.readouterr().out) == expected, (words, environ)


# Exit codes and errors.


def test_a_broken_limit_exits_with_3_and_shows_the_report(monkeypatch, capfd):
    monkeypatch.setattr(verbs, "run", lambda *_, **__: broken_limits())
    assert main(["run", "m.onnx"]) == 3
    assert "Ship int8" in capfd.readouterr().out


def test_a_known_error_has_a_code_a_hint_and_no_traceback(monkeypatch, capfd):
    raising(monkeypatch, DatasetError("no rows.", code="OQ124", hint="give some\nor more"))
    assert main(["run", "m.onnx"]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert err == "error[OQ124]: no rows.\n  give some\n  or more\n"


def test_a_known_error_is_a_document_with_json(monkeypatch, capfd):
    error = DatasetError("no rows.", code="OQ124", hint="give some")
    error.stage = "load rows"
    raising(monkeypatch, error)
    assert main(["run", "m.onnx", "--json"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out) == {
        "error": {
            "code": "OQ124",
            "message": "no rows.",
            "hint": "give some",
            "stage": "load rows",
        }
    }
    assert err.startswith("error[OQ124]")


def test_bad_options_from_a_verb_exit_with_2(monkeypatch, capfd):
    raising(monkeypatch, UsageError("no.", code="OQ100", hint="yes"))
    assert main(["run", "m.onnx"]) == 2
    capfd.readouterr()


def test_a_bug_keeps_its_traceback(monkeypatch):
    raising(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["run", "m.onnx"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rnu m.onnx", "Did you mean 'run'?"),
        ("run m.onnx --max-dorp 1pp", "'--max-drop'"),
        ("run", "Missing argument 'MODEL'"),
        ("run m.onnx --batch -1", "'-1' is not a whole number of 0 or more."),
        ("run m.onnx --threads 0", "'0' is not a whole number of 1 or more."),
        ("run m.onnx --threads x", "'x' is not a whole number of 1 or more."),
        ("run m.onnx --color pink", "'pink' is not one of"),
        ("run m.onnx n.onnx", "unexpected extra argument"),
    ],
)
def test_usage_errors_exit_with_2_and_say_what_was_meant(words, said, capfd):
    assert main(words.split()) == 2
    out, err = capfd.readouterr()
    assert not out
    assert err.startswith("error[OQ100]: ")
    assert said in err
    assert main([*words.split(), "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "OQ100"


def test_no_command_shows_the_help_and_exits_with_2(capfd):
    assert main([]) == 2
    out, err = capfd.readouterr()
    assert not out
    assert "Commands:" in err


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["run", "-h"], ["doctor", "--help"]])
def test_help_is_on_stdout(words, capfd):
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Usage: onnxq")
    assert not err


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag, capfd):
    assert main([flag]) == 0
    assert capfd.readouterr().out.startswith("onnxq 0.")


@pytest.mark.parametrize("exit_code", [130, 143])
def test_an_interrupted_run_shows_what_it_found_out(monkeypatch, capfd, exit_code):
    error = Interrupted("interrupted.", code="OQ184", hint="again", exit_code=exit_code)
    error.partial_report = report_to_json(interrupted())
    raising(monkeypatch, error)
    assert main(["run", "m.onnx"]) == exit_code
    out, err = capfd.readouterr()
    assert "Interrupted: no verdict." in out
    assert err.startswith("error[OQ184]: interrupted.")
    assert main(["run", "m.onnx", "--json"]) == exit_code
    assert capfd.readouterr().out.encode() == error.partial_report


def test_an_interruption_without_anything_to_show(monkeypatch, capfd):
    raising(monkeypatch, KeyboardInterrupt())
    assert main(["run", "m.onnx"]) == 130
    out, err = capfd.readouterr()
    assert not out
    assert err.startswith("error[OQ184]")
    assert main(["run", "m.onnx", "--json"]) == 130
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "OQ184"


# Streams of all kinds.

_SHOW = """
import sys
sys.path.insert(0, {folder!r})
from onnxq import verbs
from onnxq.cli.main import main
from sample_reports import shipping
verbs.run = lambda *_, **__: shipping()
sys.exit(main(["run", "m.onnx", *{words!r}]))
"""


def run_python(words=(), *, stdout=subprocess.PIPE, **environ):
    code = _SHOW.format(folder=os.path.dirname(__file__), words=list(words))  # noqa: PTH120
    env = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "CI", "NO_COLOR"}}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=env | environ,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def test_through_a_pipe_there_are_80_columns_and_no_colours():
    out = run_python().stdout.decode()
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) == 80


def test_columns_and_ci_make_pipes_wider():
    for environ, columns in [({"COLUMNS": "100"}, 100), ({"CI": "true"}, 120)]:
        lines = run_python(**environ).stdout.decode().splitlines()
        assert 80 < max(map(len, lines)) <= columns


def test_an_ascii_stream_gets_ascii():
    done = run_python(PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"2.31x +-0.04" in done.stdout


def test_an_ascii_stream_gets_utf_8_json():
    done = run_python(["--json"], PYTHONIOENCODING="ascii")
    assert report_from_json(done.stdout, origin="stdout") == shipping()


def test_a_reader_that_goes_away_is_no_failure():
    read, write = os.pipe()
    os.close(read)
    done = run_python(stdout=write)
    os.close(write)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_full_disk_is_told_without_a_traceback(words):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run_python(words, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error[OQ192]: the output stream cannot be written: No space")
    assert b"Traceback" not in done.stderr
