"""``onnxq repair`` from the outside, on tiny files shaped as each maker writes them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from onnxq.cli.main import main
from onnxq.documents import Repair, read_document

ROWS = 8
CHANNELS = 8


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{outputs[0]}/{op}", **attributes)


def model_of(nodes, weights, opset=17):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [value("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def float_weights():
    generator = np.random.default_rng(0)

    def draw(*shape):
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    return {
        "w1": draw(CHANNELS, 3, 3, 3),
        "w2": draw(CHANNELS, CHANNELS, 3, 3),
        "w3": draw(5, CHANNELS),
        "b1": draw(CHANNELS, 1).ravel(),
        "b2": draw(CHANNELS, 1).ravel(),
        "b3": draw(5, 1).ravel(),
    }


def residual(through, weight):
    """A stem, a residual block and a classifier; ``through`` stands where a maker quantizes."""
    padded = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", [through("x"), weight("w1"), "b1"], ["c1"], **padded),
        node("Relu", ["c1"], ["a1"]),
        node("Conv", [through("a1"), weight("w2"), "b2"], ["c2"], **padded),
        node("Add", [through("c2"), through("a1")], ["s"]),
        node("Relu", ["s"], ["a2"]),
        node("GlobalAveragePool", [through("a2")], ["p"]),
        node("Flatten", [through("p")], ["f"]),
        node("Gemm", [through("f"), weight("w3"), "b3"], ["g"], transB=1),
        node("Identity", [through("g")], ["y"]),
    ]
    order = {name: place for place, one in enumerate(nodes) for name in one.output}
    return nodes, order


def float_model():
    nodes, _ = residual(lambda name: name, lambda name: name)
    return model_of(nodes, float_weights())


RANGES = {"x": 3.0, "a1": 3.0, "c2": 4.0, "a2": 5.0, "p": 2.0, "f": 2.0, "g": 3.0}


def pairs(make):
    """Build the network with Q and DQ that ``make`` writes, in an order that onnx accepts."""
    extra, weights = [], float_weights()
    nodes, _ = residual(
        lambda name: make(name, extra, weights), lambda name: make(name, extra, weights)
    )
    return model_of(sorted_nodes([*extra, *nodes], {"x", *weights}), weights, opset=19)


def sorted_nodes(nodes, known):
    left, done = list(nodes), []
    while left:
        ready = next(one for one in left if known >= set(one.input))
        left.remove(ready)
        done.append(ready)
        known |= set(ready.output)
    return done


def add_pair(name, extra, weights, grid):
    """Write Q and DQ behind a tensor, a pair of its own for each reader."""
    label = f"{name}_{len(extra)}"
    weights[f"{label}_s"], weights[f"{label}_z"] = grid
    axis = {"axis": 0} if np.ndim(grid[0]) else {}
    extra.append(node("QuantizeLinear", [name, f"{label}_s", f"{label}_z"], [f"{label}_q"], **axis))
    extra.append(
        node("DequantizeLinear", [f"{label}_q", f"{label}_s", f"{label}_z"], [f"{label}_d"], **axis)
    )
    return f"{label}_d"


def like_modelopt(name, extra, weights):
    """Float weights behind Q; activations symmetric int8; no pair behind a residual branch."""
    if name.startswith("w"):
        array = weights[name].reshape(len(weights[name]), -1)
        scales = (np.abs(array).max(axis=1) / 127).astype(np.float32)
        return add_pair(name, extra, weights, (scales, np.zeros(len(scales), np.int8)))
    if name in {"c2", "g"}:
        return name
    return add_pair(name, extra, weights, (np.float32(RANGES[name] / 127), np.int8(0)))


def like_aimet(name, extra, weights):
    """Float weights behind Q, per tensor; activations uint8."""
    if name.startswith("w"):
        scale = np.float32(np.abs(weights[name]).max() / 127)
        return add_pair(name, extra, weights, (scale, np.int8(0)))
    positive = name in {"a1", "a2"}
    grid = np.float32(RANGES[name] / (255 if positive else 127)), np.uint8(0 if positive else 128)
    return add_pair(name, extra, weights, grid)


class Rows(CalibrationDataReader):
    def __init__(self):
        self.rows = iter([{"x": row[None]} for row in draw_rows()])

    def get_next(self):
        return next(self.rows, None)


def draw_rows():
    return np.random.default_rng(1).standard_normal((ROWS, 3, 8, 8)).astype(np.float32)


def by_onnxruntime(form):
    onnx.save(float_model(), "float.onnx")
    quantize_static("float.onnx", "given.onnx", Rows(), quant_format=form)


MAKERS = {
    "ort-qdq": lambda: by_onnxruntime(QuantFormat.QDQ),
    "ort-qoperator": lambda: by_onnxruntime(QuantFormat.QOperator),
    "modelopt": lambda: onnx.save(pairs(like_modelopt), "given.onnx"),
    "aimet": lambda: onnx.save(pairs(like_aimet), "given.onnx"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture(scope="module", params=MAKERS)
def repaired(request, tmp_path_factory):
    """A maker's file, what repairing it on rows said, and the repaired file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(request.param))
        np.savez("rows.npz", x=draw_rows())
        MAKERS[request.param]()
        before = Path("given.onnx").read_bytes()
        words = "repair given.onnx -o out --no-measure -qq --calib rows.npz"
        assert main(words.split()) == 0
        assert Path("given.onnx").read_bytes() == before
        document = read_document(Path("out/report.json"))
        assert isinstance(document, Repair)
        yield Repaired(request.param, document, Path("given.onnx"), Path("out/given.repaired.onnx"))


@dataclass(frozen=True)
class Repaired:
    maker: str
    said: Repair
    given: Path
    file: Path


def outputs(path, rows, *, plain):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": rows})
    return found


def sqnr_db(wanted, found):
    noise = float(np.sum(np.square(wanted - found, dtype=np.float64)))
    signal = float(np.sum(np.square(wanted, dtype=np.float64)))
    return 10 * np.log10(signal / noise) if noise else 200.0


def test_a_makers_file_runs_on_integer_kernels_afterwards(repaired):
    said = repaired.said
    assert said.after.integer + said.after.floats == 3
    # ModelOpt leaves the last Gemm without a pair behind it.
    assert said.after.floats <= (repaired.maker == "modelopt")
    assert said.after.conversions <= max(said.before.conversions, 2)
    model = onnx.load(repaired.file)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    sources = {name: one for one in model.graph.node for name in one.output}
    convolutions = [one for one in model.graph.node if one.op_type == "Conv"]
    assert len(convolutions) == 2
    for one in convolutions:
        assert kinds[sources[one.input[1]].input[0]] == TensorProto.INT8


def test_the_interface_is_the_makers(repaired):
    given, after = onnx.load(repaired.given).graph, onnx.load(repaired.file).graph
    for before, now in zip(
        (*given.input, *given.output), (*after.input, *after.output), strict=True
    ):
        assert now.name == before.name
        assert str(now.type) == str(before.type)


def test_what_the_report_says_of_outputs_is_so(repaired):
    rows = np.random.default_rng(2).standard_normal((16, 3, 8, 8)).astype(np.float32)
    wanted = outputs(repaired.given, rows, plain=True)
    found = outputs(repaired.file, rows, plain=True)
    if repaired.said.is_equal:
        np.testing.assert_array_equal(found, wanted)
    else:
        assert not all(step.is_equal for step in repaired.said.steps if step.is_kept)
        assert sqnr_db(wanted, found) > 25
    assert sqnr_db(wanted, outputs(repaired.file, rows, plain=False)) > 25


def test_defaults_of_onnxruntime_are_repaired_without_changing_a_bit(repaired):
    if repaired.maker == "ort-qdq":
        assert repaired.said.is_equal


@pytest.mark.usefixtures("folder")
def test_the_report_is_shown_measured_and_the_next_repair_finds_nothing(capfd):
    by_onnxruntime(QuantFormat.QDQ)
    words = "repair given.onnx -o new.onnx --seconds 0.5 --threads 1 -q"
    assert main(words.split()) == 0
    shown = capfd.readouterr().out
    assert "1 thread CPU" in shown
    assert "Outputs equal to the last bit" in shown
    assert "Wrote new.onnx" in shown
    assert "onnxq profile given.onnx new.onnx --data val.npz" in shown
    assert main(["repair", "new.onnx", "-o", "again", "--no-measure", "--json", "-q"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["kind"] == "repair"
    assert said["steps"] == said["speed"] == []


def test_a_plan_does_nothing(folder, capfd):
    by_onnxruntime(QuantFormat.QDQ)
    before = sorted(folder.iterdir())
    assert main(["repair", "given.onnx", "--plan"]) == 0
    assert "given.repaired.onnx" in capfd.readouterr().out
    assert sorted(folder.iterdir()) == before


def weights_only():
    onnx.save(float_model(), "float.onnx")
    quantize_dynamic("float.onnx", "given.onnx", weight_type=QuantType.QInt8)


REFUSED = {
    "float": lambda: onnx.save(float_model(), "given.onnx"),
    "dynamic": weights_only,
    "no model": lambda: Path("given.onnx").write_bytes(b""),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_repaired_says_why_and_what_to_do(kind, folder, capfd):
    REFUSED[kind]()
    assert main(["repair", "given.onnx", "--no-measure", "-q"]) in {1, 2}
    out, err = capfd.readouterr()
    assert not out
    assert err.startswith("error[OQ")
    assert "given.onnx" in err
    assert err.count("\n  ") >= 1, "a hint"
    assert not (folder / "onnxq-out").exists()


@pytest.mark.parametrize("kind", ["float", "dynamic"])
@pytest.mark.usefixtures("folder")
def test_a_plan_refuses_what_cannot_be_repaired(kind, capfd):
    REFUSED[kind]()
    assert main(["repair", "given.onnx", "--plan"]) == 1
    assert "error[OQ175]" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--seconds 5", "--threads 2", "--batch 4"])
@pytest.mark.usefixtures("folder")
def test_nobody_says_how_to_measure_what_is_not_measured(option, capfd):
    by_onnxruntime(QuantFormat.QDQ)
    assert main(f"repair given.onnx --no-measure {option}".split()) == 2
    assert "error[OQ100]: --no-measure contradicts" in capfd.readouterr().err


def test_a_repaired_file_is_not_called_repaired_twice(folder, capfd):
    by_onnxruntime(QuantFormat.QDQ)
    assert main(["repair", "given.onnx", "-o", "once", "--no-measure", "-q"]) == 0
    capfd.readouterr()
    assert main(["repair", "once/given.repaired.onnx", "-o", "twice"]) == 0
    shown = capfd.readouterr().out
    assert "Nothing was changed: keep the given file" in shown
    assert "1 thread" not in shown
    names = {path.name for path in (folder / "twice").iterdir()}
    assert names == {"given.repaired.onnx", "report.json"}


@pytest.mark.usefixtures("folder")
def test_a_text_file_is_no_factory(capfd):
    assert main(["repair", "README.md"]) == 1
    assert "factory README" not in capfd.readouterr().err
