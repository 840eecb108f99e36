"""The serving code is run here: what it predicts is what the model predicts."""

import runpy
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxq.datasets.layouts import Layout, change_layout
from onnxq.datasets.pixels import apply_preprocess
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.estimates import exact
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor, dequantize_array, quantize_array
from onnxq.measurements import Latency, Size, Unjudged
from onnxq.reports import (
    Artefact,
    DataFacts,
    Environment,
    Limits,
    Measured,
    NoData,
    ParityNotChecked,
    Report,
    Skipped,
    SourceFacts,
    Verdict,
)
from onnxq.snippets import _MOVES, serving_snippet
from onnxq.tensors import Signature, TensorSpec

FILE = "tiny.int8.onnx"


def make_report(inputs, preprocess="", variants=None, threads=2, findings=(), io=()):
    data = DataFacts(
        spec="x.npz",
        calibration_spec="",
        preprocess=preprocess,
        evaluation_rows=4,
        calibration_rows=0,
        labelled=False,
        seed=0,
    )
    time = exact(1e6)
    latency = Latency(
        threads=threads,
        batch_rows=1,
        cpu_ns=time,
        wall_ns=time,
        wall_p90_ns=1e6,
        wall_p99_ns=1e6,
        load_ns=1e6,
        peak_bytes=1,
    )
    measured = Measured(
        alias="int8",
        recipe="static-uint8-int8-perchannel-mse",
        artefact=Artefact(
            file=FILE,
            sha256="",
            size=Size(file_bytes=1, initializer_bytes={}),
            opset=17,
            ir_version=10,
            min_runtime="1.17",
            quantized_nodes=1,
            quantizable_nodes=1,
            io=io,
        ),
        quality=Unjudged(),
        latencies=(latency,),
        speed=(),
        speed_over_given=(),
        operators=(),
        seconds=1.0,
    )
    return Report(
        onnxq="0",
        created="",
        command=("onnxq", "run"),
        environment=Environment(
            cpu="", isa=(), cores=1, system="", python="", packages={}, load=0.0
        ),
        source=SourceFacts(
            given="x",
            framework="onnx",
            exporter="",
            signature=Signature(inputs, (TensorSpec("out", "float32", ("N", 1)),)),
            opset=17,
            sha256="",
            parity=ParityNotChecked(reason=""),
        ),
        data=data if preprocess or findings else NoData(),
        variants=(measured,) if variants is None else variants,
        reference="fp32",
        given_latencies=(),
        findings=findings,
        limits=Limits(),
        verdict=Verdict(
            kind="ship", alias="int8", sentence="", detail="", candidates=1, limits_met=True
        ),
        seconds={},
        work_seconds=0.0,
        sandbox="",
    )


def write_mean(folder, name, shape):
    """Write a model that averages every axis but the first: any change of the input shows."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    out = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    weight = np.random.default_rng(0).normal(size=shape[1:]).astype(np.float32)
    nodes = [
        helper.make_node("Mul", [name, "w"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["out"], axes=[1]),
    ]
    initializer = [onnx.numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph(nodes, "g", values, out, initializer)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / FILE)
    return lambda x: (x.astype(np.float32) * weight).mean(tuple(range(1, x.ndim)))[:, None]


def served(folder, report):
    code = folder / "serve.py"
    code.write_text(serving_snippet(report, "int8"), encoding="utf-8")
    return runpy.run_path(str(code))["predict"]


def test_rows_without_preprocessing_go_in_as_they_are(tmp_path):
    expected = write_mean(tmp_path, "x", ["N", 3])
    predict = served(tmp_path, make_report((TensorSpec("x", "float32", ("N", 3)),)))
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(predict(rows), expected(rows), rtol=1e-5)


@pytest.mark.parametrize(
    ("preprocess", "channels"),
    [
        ("zero-one", 3),
        ("order=bgr,scale=1,mean=104:117:123", 3),
        ("order=rgb,scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225", 3),
        ("order=gray,scale=127.5,mean=1", 1),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_bytes_are_prepared_as_the_rows_of_the_run_were(tmp_path, preprocess, channels, first):
    shape = ["N", channels, 4, 5] if first else ["N", 4, 5, channels]
    expected = write_mean(tmp_path, "x", shape)
    report = make_report((TensorSpec("x", "float32", tuple(shape)),), preprocess)
    images = np.random.default_rng(1).integers(0, 256, (2, 4, 5, 3), np.uint8)
    rows = apply_preprocess(images, parse_preprocess(preprocess))
    wanted = expected(np.moveaxis(rows, -1, 1) if first else rows)
    np.testing.assert_allclose(served(tmp_path, report)(images), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("geometry", ["size=12,crop=8", "resize=8x8", "size=8,crop=8,order=bgr"])
def test_image_files_are_read_resized_and_cropped_as_in_the_run(tmp_path, geometry):
    image = pytest.importorskip("PIL.Image", reason="the extra images is not installed")
    from onnxq.datasets.images import read_image  # noqa: PLC0415 - needs the extra

    expected = write_mean(tmp_path, "x", ["N", 3, 8, 8])
    spec = parse_preprocess(f"{geometry},scale=255,mean=0.5,std=0.25")
    pixels = np.random.default_rng(2).integers(0, 256, (21, 33, 3), np.uint8)
    image.fromarray(pixels).save(tmp_path / "a.png")
    report = make_report(
        (TensorSpec("x", "float32", ("N", 3, 8, 8)),), f"{geometry},scale=255,mean=0.5,std=0.25"
    )
    rows = apply_preprocess(read_image(tmp_path / "a.png", spec)[None], spec)
    np.testing.assert_allclose(
        served(tmp_path, report)(tmp_path / "a.png"),
        expected(np.moveaxis(rows, -1, 1)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_it_runs_alone_without_onnxq(tmp_path):
    write_mean(tmp_path, "x", ["N", 3])
    served(tmp_path, make_report((TensorSpec("x", "float32", ("N", 3)),)))
    words = (
        "import serve, sys, numpy as np; print(serve.predict(np.ones((1, 3), np.float32)).shape);"
        "assert not any(name.startswith('onnxq') for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 1)"


def test_the_session_is_the_measured_one(tmp_path, monkeypatch):
    write_mean(tmp_path, "x", ["N", 3])
    seen = []
    real = onnxruntime.InferenceSession

    def spy(path, options, providers):
        seen.append((options, providers))
        return real(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    served(tmp_path, make_report((TensorSpec("x", "float32", ("N", 3)),), threads=2))
    ((options, providers),) = seen
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    everything = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.graph_optimization_level == everything
    assert providers == ["CPUExecutionProvider"]


def test_it_says_that_the_optimization_level_matters():
    code = serving_snippet(make_report((TensorSpec("x", "float32", ("N", 3)),)), "int8")
    assert "slower than float" in code


def change(code, **evidence):
    return Finding(code=code, subject="x.npz", message="It was changed.", evidence=evidence)


def test_layout_and_dtype_are_changed_as_they_were_in_the_run(tmp_path):
    expected = write_mean(tmp_path, "x", ["N", 3, 4, 5])
    report = make_report(
        (TensorSpec("x", "float32", ("N", 3, 4, 5)),),
        findings=(
            change("OQ128", input="x", dtype="float32"),
            change("OQ129", input="x", layout="CHANNELS_FIRST"),
            change("OQ129", input="other", layout="LEADING_AXIS"),
        ),
    )
    images = np.random.default_rng(1).integers(0, 256, (2, 4, 5, 3), np.uint8)
    wanted = expected(np.moveaxis(images, -1, 1))
    np.testing.assert_allclose(served(tmp_path, report)(images), wanted, rtol=1e-5)


@pytest.mark.parametrize("layout", [one for one in Layout if one is not Layout.AS_IS])
def test_each_layout_change_is_written_as_it_is_done(layout):
    rows = np.arange(8 * 3, dtype=np.float32).reshape(2, 1, 3, 4, 1)[..., 0]
    rows = rows[..., None] if layout is Layout.NO_TRAILING_AXIS else rows
    found = eval(_MOVES[layout], {"np": np, "x": rows})  # noqa: S307 - our own words
    np.testing.assert_array_equal(found, change_layout(rows, layout))


IN = IntegerTensor(name="x", dtype="uint8", scale=0.1, zero_point=128)
OUT = IntegerTensor(name="out", dtype="int8", scale=0.5, zero_point=-3)


def write_integers(folder, *names):
    """Write a model whose only output is the first of its integer inputs, with another type."""
    values = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["N", 2]) for n in names]
    out = [helper.make_tensor_value_info("out", TensorProto.INT8, ["N", 2])]
    nodes = [
        helper.make_node("Cast", [names[0]], ["wide"], to=TensorProto.INT32),
        helper.make_node("Sub", ["wide", "middle"], ["centred"]),
        helper.make_node("Cast", ["centred"], ["out"], to=TensorProto.INT8),
    ]
    middle = onnx.numpy_helper.from_array(np.array(128, np.int32), "middle")
    graph = helper.make_graph(nodes, "g", values, out, [middle])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / FILE)


REALS = np.array([[0.0, 1.04], [-2.5, 99.0]], np.float32)


def expected_reals(integers):
    return dequantize_array((integers.astype(np.int32) - 128).astype(np.int8), OUT)


def test_real_numbers_go_in_and_out_of_integer_models(tmp_path):
    write_integers(tmp_path, "x")
    predict = served(tmp_path, make_report((TensorSpec("x", "float32", ("N", 2)),), io=(IN, OUT)))
    integers = quantize_array(REALS, IN)
    for fed in (REALS, integers):
        found = predict(fed)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected_reals(integers))


def test_several_integer_inputs_are_fed_by_name(tmp_path):
    write_integers(tmp_path, "x", "b")
    inputs = (TensorSpec("x", "float32", ("N", 2)), TensorSpec("b", "float32", ("N", 2)))
    io = (IN, IntegerTensor(name="b", dtype="uint8", scale=1.0, zero_point=0), OUT)
    report = make_report(inputs, findings=(change("OQ128", input="b", dtype="float32"),), io=io)
    given = {"x": REALS, "b": np.ones((2, 2), np.float64)}
    found = served(tmp_path, report)(given)
    np.testing.assert_array_equal(found, expected_reals(quantize_array(REALS, IN)))
    assert given["x"] is REALS, "the caller's dict is left alone"


def test_several_inputs_are_fed_by_name():
    inputs = (TensorSpec("a", "float32", ("N", 2)), TensorSpec("b", "float32", ("N", 2)))
    code = serving_snippet(make_report(inputs, "zero-one"), "int8")
    compile(code, "serve.py", "exec")
    assert "a float32 [N, 2]; b float32 [N, 2]" in code
    assert "zero-one" in code


def test_a_name_with_a_line_feed_in_it_does_not_become_code():
    name = "x]\nimport os; os.abort()  #"
    for inputs in [
        (TensorSpec(name, "float32", ("N", 2)),),
        (TensorSpec(name, "float32", ("N", 2)), TensorSpec("b", "float32", ("N\r", 2))),
    ]:
        code = serving_snippet(make_report(inputs), "int8")
        compile(code, "serve.py", "exec")
        assert not any(line.startswith("import os;") for line in code.splitlines())


def test_an_unmeasured_candidate_is_served_as_the_reference_and_none_as_nothing():
    skipped = Skipped(alias="int8", recipe="x", reason="")
    inputs = (TensorSpec("x", "float32", ("N", 3)),)
    assert not serving_snippet(make_report(inputs, variants=(skipped,)), "int8")


def test_it_is_short():
    code = serving_snippet(make_report((TensorSpec("x", "float32", ("N", 3)),)), "int8")
    statements = [line for line in code.splitlines() if line and not line.startswith("#")]
    assert len(statements) <= 15
