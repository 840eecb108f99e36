"""Options that were not typed: files, variables, what beats what, and what is refused."""

import json
import os
import tomllib

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_documents import conversion, plan
from sample_inspections import INSPECTION
from sample_reports import shipping

from onnxq import verbs
from onnxq.cli.config_files import NO_CONFIG, choose_config, find_config
from onnxq.cli.flags import SETTABLE
from onnxq.cli.main import main
from onnxq.cli.setting_values import setting_from_toml, setting_from_variable
from onnxq.cli.settings import misspelled_variables
from onnxq.errors import DatasetError, UsageError


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ONNXQ_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def options(monkeypatch):
    """What the verb is called with."""
    seen = {}

    def fake(name, answer):
        def verb(*_, **given):
            seen.clear()
            seen.update(given)
            return answer

        monkeypatch.setattr(verbs, name, verb, raising=False)

    fake("run", shipping())
    fake("convert", conversion())
    fake("inspect", INSPECTION)
    fake("plan", plan())
    return seen


def write(folder, text, name="onnxq.toml"):
    (folder / name).write_text(text, encoding="utf-8")


def run(*words):
    return main(["run", "m.onnx", "-qq", *words])


# Where from, and what beats what.


def test_a_file_in_the_working_folder_is_read(folder, options):
    write(folder, 'max-drop = "2pp"\nseconds = 5\nthreads = [1, 4]\ncheck = false\n')
    assert run() == 0
    assert options["max_drop"] == "2pp"
    assert options["seconds"] == 5.0
    assert options["threads"] == (1, 4)
    assert options["check"] is False


def test_keys_may_have_hyphens_or_underscores(folder, options):
    write(folder, 'max_drop = "2pp"\nkeep-float = ["head/*"]\n')
    assert run() == 0
    assert (options["max_drop"], options["keep_float"]) == ("2pp", ("head/*",))


def test_a_table_is_for_its_verb_and_beats_the_top(folder, options):
    write(folder, "seed = 1\nlimit = 7\n[run]\nseed = 2\n[convert]\nseed = 3\n")
    assert run() == 0
    assert (options["seed"], options["limit"]) == (2, 7)
    assert main(["convert", "m.keras", "-qq"]) == 0
    assert (options["seed"], options["limit"]) == (3, 7)


def test_a_key_at_the_top_is_for_every_verb_that_has_it(folder, options):
    write(folder, 'data = "val.npz"\nmax-drop = "1pp"\n')
    assert main(["inspect", "m.onnx", "-qq"]) == 0
    assert options["data"] == "val.npz"
    assert "max_drop" not in options


def test_a_project_file_has_a_section(folder, options):
    write(folder, "[tool.onnxq]\nseed = 4\n[tool.onnxq.run]\nlimit = 5\n", "pyproject.toml")
    assert run() == 0
    assert (options["seed"], options["limit"]) == (4, 5)
    write(folder, "seed = 6\n")
    assert run() == 0
    assert (options["seed"], options["limit"]) == (6, 0)


def test_a_project_file_may_say_nothing(folder, options):
    for text in ("", "[tool]\n", "[tool.ruff]\nline-length = 100\n"):
        write(folder, text, "pyproject.toml")
        assert run() == 0
        assert options["seed"] == 0


def test_folders_above_are_not_looked_at(folder, options, monkeypatch):
    write(folder, "seed = 4\n")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert run() == 0
    assert options["seed"] == 0


def test_a_variable_beats_a_file_and_a_flag_beats_both(folder, options, monkeypatch):
    write(folder, "seed = 4\n[run]\nseed = 5\n")
    monkeypatch.setenv("ONNXQ_SEED", "6")
    assert run() == 0
    assert options["seed"] == 6
    assert run("--seed", "0") == 0
    assert options["seed"] == 0


def test_a_repeatable_option_is_replaced_not_appended(folder, options, monkeypatch):
    write(folder, 'recipe = ["int8", "fp16"]\n')
    assert run() == 0
    assert options["recipe"] == ("int8", "fp16")
    assert run("-r", "int8-dynamic") == 0
    assert options["recipe"] == ("int8-dynamic",)
    monkeypatch.setenv("ONNXQ_RECIPE", "int8-minmax, int16")
    assert run() == 0
    assert options["recipe"] == ("int8-minmax", "int16")


def test_variables_of_all_kinds(options, monkeypatch):
    for name, value in {
        "CACHE_DIR": "/kept", "CACHE": "off", "MAX_MEMORY": "2GB", "HISTOGRAM_SAMPLE": "8",
        "STRICT": "1", "CHECK": "no", "SECONDS": "2.5", "THREADS": "1,2", "IO": "uint8",
        "KEEP_FLOAT": '["a,b", "c"]', "DATA": "", "TRUST": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ONNXQ_{name}", value)
    assert run() == 0
    assert (options["cache_dir"], options["cache"]) == ("/kept", False)
    assert (options["max_memory"], options["histogram_sample"]) == ("2GB", 8)
    assert options["strict"] is True
    assert options["check"] is False
    assert options["seconds"] == 2.5
    assert options["threads"] == (1, 2)
    assert options["io"] == "uint8"
    assert options["keep_float"] == ("a,b", "c")
    assert options["data"] == ""
    assert options["trust"] is True


def test_a_named_file_is_read_instead(folder, options):
    write(folder, "seed = 4\n")
    write(folder, "seed = 5\ntrust = true\noverwrite = true\n", "mine.toml")
    assert run("--config", "mine.toml") == 0
    assert (options["seed"], options["trust"], options["overwrite"]) == (5, True, True)
    assert run("--no-config") == 0
    assert options["seed"] == 0
    write(folder, "[tool.onnxq]\nseed = 7\n", "pyproject.toml")
    assert run("--config", "pyproject.toml") == 0
    assert options["seed"] == 7


def test_verbs_without_options_read_nothing(folder, capfd):
    write(folder, "what is this")
    assert main(["recipes", "--help"]) == 0
    assert main(["completion", "fish"]) == 0
    capfd.readouterr()


def test_a_count_that_may_be_a_word_is_a_number_in_a_file(folder, options):
    for text, rows in {"32": "32", '"32"': "32", '"auto"': "auto"}.items():
        write(folder, f"calib-rows = {text}\n")
        assert run() == 0
        assert options["calib_rows"] == rows


# What is refused.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('max-dorp = "1pp"', ("onnxq.toml", "max-dorp", "Did you mean max-drop?")),
        ('[run]\nmax-dorp = "1pp"', ("[run] max-dorp", "Did you mean max-drop?")),
        ('[quantise]\nrecipe = ["int8"]', ("[quantise]", "Did you mean [quantize]?")),
        ('[run]\nshard = "1/2"', ("[run] shard", "[run] has no --shard.")),
        ("max-memory = 2", ("max-memory", "a text", 'max-memory = "2GB"')),
        ("io = 8", ("io", 'io = "float"')),
        ("calib-rows = 1.5", ("calib-rows", "a whole number or text", "calib-rows = 500")),
        ("calib-rows = true", ("calib-rows", "a whole number or text")),
        ("histogram-sample = 0", ("histogram-sample", "0 is not a whole number of 1 or more")),
        ("no-cache = true", ("no-cache", "Did you mean cache?")),
        ('[convert]\nmax-drop = "1pp"', ("[convert] max-drop", "[convert] has no --max-drop.")),
        ("no-check = true", ("no-check", "Did you mean check?")),
        ("json = true", ("json", "--json is only ever typed.")),
        ('model = "m.onnx"', ("model", "Keys are the options of onnxq run --help")),
        ("[doctor]\nseed = 1", ("[doctor]", "[profile]")),
        ("max-drop = 0.01", ("max-drop", "0.01", 'max-drop = "')),
        ("seed = true", ("seed", "a whole number")),
        ('seed = "1"', ("seed", "a whole number")),
        ("seed = 1.5", ("seed", "a whole number")),
        ("seed = -1", ("seed", "-1 is not a whole number")),
        ('strict = "yes"', ("strict", "strict = true or strict = false")),
        ("strict = 1", ("strict", "strict = true or strict = false")),
        ('recipe = "int8"', ("recipe", "an array", 'recipe = ["')),
        ("recipe = [1]", ("recipe", "an array")),
        ('threads = ["1"]', ("threads", "an array")),
        ("threads = [0]", ("threads", "0 is not a whole number of 1 or more")),
        ('io = "u8"', ("io", "'u8' is not one of")),
        ("seed = 1\nseed = 2", ("not TOML",)),
        ('keep-float = ["a"]\nkeep_float = ["b"]', ("keep_float", "twice")),
        ("trust = true", ("--trust", "--config onnxq.toml")),
        ("[run]\noverwrite = true", ("--overwrite", "--config onnxq.toml")),
        ('metric = "metrics.py:score"', ("metrics.py:score", "--config onnxq.toml")),
        ('[profile]\ndata = "pkg.rows:load"', ("pkg.rows:load", "--config onnxq.toml")),
        ("run = 3", ("run",)),
        ("seed = [", ("not TOML",)),
    ],
)
def test_a_file_that_says_what_no_verb_understands_is_refused(folder, text, words, capfd):
    write(folder, text)
    assert run() == 2
    err = capfd.readouterr().err
    assert err.startswith("error[OQ100]: onnxq.toml")
    for word in words:
        assert word in err, err
    assert main(["run", "m.onnx", "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "OQ100"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SEED", "x", "ONNXQ_SEED: 'x' is not a whole number"),
        ("CACHE", "/kept", "ONNXQ_CACHE: '/kept' is not a valid boolean"),
        ("HISTOGRAM_SAMPLE", "0", "ONNXQ_HISTOGRAM_SAMPLE: '0' is not a whole number of 1 or more"),
        ("STRICT", "perhaps", "ONNXQ_STRICT: 'perhaps' is not a valid boolean"),
        ("IO", "u8", "ONNXQ_IO: 'u8' is not one of"),
        ("THREADS", "1,zero", "'zero' is not a whole number"),
        ("RECIPE", '["int8"', ""),
        ("RECIPE", '["int8",,]', "ONNXQ_RECIPE is not an array as TOML writes it"),
    ],
)
def test_a_variable_that_an_option_does_not_take_is_refused(
    name, value, said, options, monkeypatch, capfd
):
    monkeypatch.setenv(f"ONNXQ_{name}", value)
    if not said:
        assert run() == 0
        assert options["recipe"] == ('["int8"',)
        return
    assert run() == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--config", "nosuch.toml"), "nosuch.toml cannot be read"),
        (("--config", "a.toml", "--no-config"), "contradict each other"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_usage_error(words, said, capfd):
    assert run(*words) == 2
    assert said in capfd.readouterr().err


def test_a_section_that_is_no_table_is_refused(folder, capfd):
    write(folder, "[tool]\nonnxq = 3\n", "pyproject.toml")
    assert run() == 2
    assert "tool.onnxq is not a table" in capfd.readouterr().err


@pytest.mark.usefixtures("options")
def test_other_variables_are_left_alone_but_for_near_misses(monkeypatch, capfd):
    monkeypatch.setenv("ONNXQ_SHARED", "/somewhere")
    monkeypatch.setenv("ONNXQ_HOME", "/somewhere")
    assert run() == 0
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("ONNXQ_MAX_DORP", "1pp")
    monkeypatch.setenv("ONNXQ_JSON", "1")
    assert run() == 0
    assert capfd.readouterr().err == (
        "warning: ONNXQ_JSON is not read: --json is only ever typed.\n"
        "warning: ONNXQ_MAX_DORP is not read. Did you mean ONNXQ_MAX_DROP?\n"
    )


def test_every_misspelled_variable_is_told():
    assert misspelled_variables({"ONNXQ_THREAD": "1", "PATH": "", "ONNXQ_SEED": "1"}) == (
        "ONNXQ_THREAD is not read. Did you mean ONNXQ_THREADS?",
    )


# What is seen of it.


def test_the_command_of_the_report_says_it_all(folder, options, monkeypatch):
    write(folder, 'data = "my rows.npz"\ncheck = false\nstrict = false\n')
    monkeypatch.setenv("ONNXQ_THREADS", "1,2")
    assert run() == 0
    assert options["command"] == (
        "onnxq", "run", "m.onnx", "-qq", "--no-check", "--data", "my rows.npz", "--threads", "1",
        "--threads", "2",
    )  # fmt: skip
    assert main(["run", "-qq", "--", "-m.onnx"]) == 0
    assert options["command"][-2:] == ("--", "-m.onnx")


@pytest.mark.usefixtures("options")
def test_verbose_says_what_came_from_where(folder, monkeypatch, capfd):
    write(folder, 'data = "my rows.npz"\nseed = 3\n')
    monkeypatch.setenv("ONNXQ_SECONDS", "5")
    assert main(["run", "m.onnx", "-v", "--seed", "4"]) == 0
    assert capfd.readouterr().err == (
        "onnxq.toml: --data 'my rows.npz'\nONNXQ_SECONDS: --seconds 5.0\n"
    )
    assert main(["run", "m.onnx"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("options")
def test_a_plan_lists_it(folder, capfd):
    write(folder, 'max-drop = "2pp"\n')
    assert main(["run", "m.onnx", "--plan", "--json"]) == 0
    findings = json.loads(capfd.readouterr().out)["findings"]
    assert findings[-1]["code"] == "OQ117"
    assert findings[-1]["subject"] == "onnxq.toml"
    assert findings[-1]["message"] == "gives --max-drop 2pp, which was not typed"


@pytest.mark.parametrize("kind", [UsageError, DatasetError])
def test_an_error_that_may_be_their_fault_mentions_them(folder, kind, monkeypatch, capfd):
    def verb(*_, **__):
        message = "no."
        raise kind(message, code="OQ100", hint="do this")

    monkeypatch.setattr(verbs, "run", verb)
    write(folder, 'max-drop = "2pp"\n')
    assert run() == kind.exit_code
    assert capfd.readouterr().err == (
        "error[OQ100]: no.\n  do this\n  Not typed, but said by onnxq.toml: --max-drop 2pp\n"
    )
    assert run("--no-config") == kind.exit_code
    assert "Not typed" not in capfd.readouterr().err


@pytest.mark.usefixtures("options")
def test_where_a_cache_lies_is_no_part_of_what_was_asked_for(options, monkeypatch, capfd):
    monkeypatch.setenv("ONNXQ_CACHE_DIR", "/kept")
    assert run() == 0
    assert options["cache_dir"] == "/kept"
    assert options["command"] == ("onnxq", "run", "m.onnx", "-qq")
    assert main(["run", "m.onnx", "--plan"]) == 0
    assert "ONNXQ_CACHE_DIR" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("row 3 holds NaN.", ""),
        ("/kept cannot be written.", "ONNXQ_CACHE_DIR: --cache-dir /kept"),
        ("--out is a file.", "ONNXQ_OUT: --out there"),
        ("the output folder '/a/there' holds x.", "ONNXQ_OUT: --out there"),
    ],
)
def test_a_place_is_mentioned_where_an_error_is_about_it(message, told, monkeypatch, capfd):
    def verb(*_, **__):
        raise UsageError(message, code="OQ100", hint="do this")

    monkeypatch.setattr(verbs, "run", verb)
    monkeypatch.setenv("ONNXQ_CACHE_DIR", "/kept")
    monkeypatch.setenv("ONNXQ_OUT", "there")
    assert run() == 2
    mentioned = capfd.readouterr().err.partition("Not typed, but said by ")[2]
    assert mentioned.strip() == told


# Values.

TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1)
VALUES = {
    "whole number": st.integers(min_value=1, max_value=10**6),
    "float": st.floats(min_value=0.1, max_value=1e6),
    "boolean": st.booleans(),
}


def toml_of(value):
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


@given(st.data())
def test_what_stands_in_a_file_is_what_would_be_typed(data):
    """The words of a setting, parsed as typed, are the setting's value."""
    name = data.draw(st.sampled_from(sorted(SETTABLE)))
    option = SETTABLE[name]
    values = VALUES.get(option.type.name, TEXT)
    if isinstance(option.type, click.Choice):
        values = st.sampled_from(option.type.choices)
    value = data.draw(st.lists(values, max_size=3) if option.multiple else values)
    stored = tomllib.loads(f"key = {toml_of(value)}")["key"]
    setting = setting_from_toml(name, stored, name, "a.toml")
    command = click.Command("x", params=[option])
    assert command.make_context("x", list(setting.words)).params[name] == setting.value or (
        setting.value == () and not setting.words
    )


@given(st.lists(st.text("abc/*", min_size=1), min_size=1, max_size=4))
def test_a_variable_lists_values_with_commas_or_as_toml(values):
    with_commas = setting_from_variable("keep_float", ",".join(values), "ONNXQ_KEEP_FLOAT")
    as_toml = setting_from_variable("keep_float", json.dumps(values), "ONNXQ_KEEP_FLOAT")
    assert with_commas.value == as_toml.value == tuple(values)


@pytest.mark.parametrize(
    ("value", "is_code"),
    [
        ("pkg.mod:fn", True),
        ("metrics.py:score", True),
        ("dir/metrics.py:score", True),
        ("hf:cifar10", False),
        ("hf:cifar10[test]", False),
        ("val.npz", False),
        ("top1", False),
        ("order=rgb,mean=1:2:3", False),
    ],
)
def test_names_of_code_are_known(value, is_code):
    setting = setting_from_toml("data", value, "data", "onnxq.toml")
    assert setting.names_code is is_code


def test_no_file_is_no_file(folder):
    assert find_config(folder) is NO_CONFIG
    assert choose_config(folder, "", no_config=True) is NO_CONFIG
