"""``--target``, ``--rewrite``, ``--skip-rewrite``: what they may be, and where they arrive."""

import json

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq import targets, verbs
from onnxq.cli.main import main
from onnxq.errors import UsageError
from onnxq.events import tell_nobody
from onnxq.graph.listing_rewrites import list_rewrites
from onnxq.graph.rewrites import ALL_REWRITES
from onnxq.rewrite_facts import RewriteFacts, check_rewrites
from onnxq.stages import ListRewritesRequest
from onnxq.tunings import USUAL, Tuning
from onnxq.verbs import asking_tuning
from onnxq.verbs.asking_tuning import ask_tuning


def asked(*, target="x86", rewrite=(), skip_rewrite=()):
    return ask_tuning(target=target, rewrite=rewrite, skip_rewrite=skip_rewrite, tell=tell_nobody)


@pytest.mark.parametrize("target", ["x86-vnni", "x86", "arm64"])
def test_a_target_is_taken_by_its_name(target):
    assert asked(target=target) == Tuning(target=target)


def test_auto_is_the_cpu_of_this_machine(monkeypatch):
    for here in (targets.X86, targets.X86_UNKNOWN, targets.ARM64_DOT):
        monkeypatch.setattr(asking_tuning, "own_target", lambda here=here: here)
        assert asked(target="auto").target == here.name


def test_rewrites_arrive_once_each():
    slugs = [one.slug for one in ALL_REWRITES]
    tuning = asked(skip_rewrite=(slugs[0], slugs[1], slugs[0]), rewrite=(slugs[2],))
    assert tuning.skipped == (slugs[0], slugs[1])
    assert tuning.added == (slugs[2],)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "x68"}, ("--target 'x68'", "Did you mean 'x86'")),
        ({"target": "arm"}, ("--target 'arm'", "x86-vnni, x86, arm64")),
        ({"target": ""}, ("--target ''", "--target auto")),
        ({"skip_rewrite": ("name-node",)}, ("--skip-rewrite 'name-node'", "'name-nodes'")),
        ({"rewrite": ("faster",)}, ("--rewrite 'faster'", "onnxq rewrites")),
        (
            {"rewrite": ("name-nodes",), "skip_rewrite": ("name-nodes",)},
            ("contradict", "Leave one of them out"),
        ),
    ],
)
def test_what_there_is_not_is_refused(options, words):
    with pytest.raises(UsageError) as caught:
        asked(**options)
    assert caught.value.code == "OQ100"
    for said in words:
        assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("verb", ["run m.onnx", "quantize m.onnx", "merge m.onnx a.statistics"])
def test_the_command_line_refuses_it_before_any_work(verb, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for options, said in {"--skip-rewrite pool": "onnxq rewrites", "--target arm": "arm64"}.items():
        assert main([*verb.split(), *options.split()]) == 2
        err = capfd.readouterr().err
        assert err.startswith("error[OQ100]: ")
        assert said in err
    assert not list(tmp_path.iterdir())


def test_names_alone_are_checked():
    check_rewrites(("a", "b"), added=("a",), skipped=("b",))
    with pytest.raises(UsageError):
        check_rewrites(("a", "b"), skipped=("c",))


def test_every_rewrite_is_listed_and_travels(tmp_path):
    listed = list_rewrites(ListRewritesRequest(), tmp_path, tell_nobody)
    names = [one.name for one in listed.rewrites]
    assert names == [one.slug for one in ALL_REWRITES]
    assert len(set(names)) == len(names)
    assert all(one.why and not one.why.endswith(".") for one in listed.rewrites)
    assert msgspec.json.decode(msgspec.json.encode(listed), type=type(listed)) == listed


def test_the_list_is_shown_as_text_and_as_json(capfd):
    assert main(["rewrites"]) == 0
    out, err = capfd.readouterr()
    assert not err
    assert "pool-spatial-mean" in out
    assert main(["rewrites", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["kind"] == "rewrites"
    listed = msgspec.convert(document["rewrites"], tuple[RewriteFacts, ...])
    assert listed == verbs.rewrites()


@pytest.fixture
def averaging(tmp_path):
    """A Conv and a ReduceMean over its pixels, which preparation rewrites."""
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
            helper.make_node("ReduceMean", ["c"], ["y"], "mean", axes=[2, 3], keepdims=1),
        ],
        "averaging",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 1, 1])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    np.savez(tmp_path / "c.npz", x=np.ones((16, 3, 8, 8), np.float32))
    return path


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_a_skipped_rewrite_is_skipped(averaging, tmp_path):
    verbs.quantize(averaging, recipe="fp32", out=tmp_path / "a.onnx")
    assert "GlobalAveragePool" in operators(tmp_path / "a.onnx")
    out = tmp_path / "b.onnx"
    verbs.quantize(averaging, recipe="fp32", out=out, skip_rewrite="pool-spatial-mean")
    assert "GlobalAveragePool" not in operators(out)


def test_the_usual_tuning_takes_what_is_on_by_default():
    taken = [one for one in ALL_REWRITES if one.is_taken(USUAL)]
    assert all(not one.is_optional for one in taken)
