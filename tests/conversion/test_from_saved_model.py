"""SavedModels, of Keras and of plain TensorFlow, become ONNX models; what could run is scanned."""

import importlib.util
import re
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.conversion.converting import convert as convert_stage
from onnxq.errors import ConversionError, InferenceError, SourceError
from onnxq.reports import Parity
from onnxq.sources import InputDeclaration, SavedModelFolder
from onnxq.stages import ConvertRequest, NoDataRequest

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]


@pytest.fixture(scope="module")
def door():
    from onnxq.conversion.from_keras_backend import keras, tf  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_saved_model import convert_saved_model  # noqa: PLC0415
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras,
        layers=keras.layers,
        tf=tf,
        convert=convert_saved_model,
        open_predict=open_predict,
    )


@pytest.fixture(scope="module")
def saved_cnn(door, tmp_path_factory):
    """A Keras 3 export that captures constants: what tf2onnx writes as inputs."""
    image = door.layers.Input((12, 12, 3), name="image")
    x = door.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(image)
    x = door.layers.BatchNormalization()(door.layers.Conv2D(8, 3, activation="relu")(x))
    x = door.layers.GlobalAveragePooling2D()(x)
    folder = tmp_path_factory.mktemp("saved") / "cnn"
    door.keras.Model(image, door.layers.Dense(5)(x)).export(folder, verbose=False)
    return folder


def bound(function, module):
    def call(x):
        return function(module, x)

    return call


@pytest.fixture(scope="module")
def saved_module(door, tmp_path_factory):
    """Save functions of a tf.Module on a float32 input x [N, 3] as signatures."""

    def save(name, **functions):
        module = door.tf.Module()
        module.weights = door.tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        spec = door.tf.TensorSpec([None, 3], name="x")
        signatures = {
            key: door.tf.function(bound(function, module), input_signature=[spec])
            for key, function in functions.items()
        }
        module.kept = list(signatures.values())
        folder = tmp_path_factory.mktemp("modules") / name
        door.tf.saved_model.save(module, str(folder), signatures=signatures)
        return folder

    return save


def compare(door, source, destination, feed, **options):
    export = door.convert(source, destination, **options)
    expected, found = export.predict(feed), door.open_predict(destination)(feed)
    assert list(expected) == list(found)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)
    return export, found


def test_export_of_keras(door, saved_cnn, tmp_path):
    for rows in (1, 3):
        feed = {"image": np.random.default_rng(rows).normal(size=(rows, 12, 12, 3))}
        feed = {name: array.astype(np.float32) for name, array in feed.items()}
        source, destination = SavedModelFolder(str(saved_cnn)), tmp_path / f"{rows}.onnx"
        export, _ = compare(door, source, destination, feed)
    proto = onnx.load(destination)
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["output_0"]
    dims = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["N", 12, 12, 3]
    assert proto.opset_import[0].version == 17
    assert proto.graph.name == "cnn"
    assert "TensorFlow" in export.exporter
    assert "Keras" not in export.exporter


def test_stage_proves_it(saved_cnn, tmp_path):
    request = ConvertRequest(
        source=SavedModelFolder(str(saved_cnn)),
        declared=(),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
    )
    result = convert_stage(request, tmp_path, lambda _: None)
    assert result.framework == "tensorflow"
    assert isinstance(result.parity, Parity)
    assert len(result.parity.probes) == 4


def test_several_inputs_and_a_dictionary_of_outputs(door, tmp_path):
    alpha, beta = door.layers.Input((4,), name="alpha"), door.layers.Input((3,), name="beta")
    both = door.layers.Concatenate()([beta, alpha])
    outputs = {n: door.layers.Dense(size, name=n)(both) for n, size in (("two", 2), ("one", 3))}
    model = door.keras.Model({"beta": beta, "alpha": alpha}, outputs)
    model.export(tmp_path / "both", verbose=False)
    feed = {"alpha": np.ones((3, 4), np.float32), "beta": np.zeros((3, 3), np.float32)}
    source = SavedModelFolder(str(tmp_path / "both"))
    _, found = compare(door, source, tmp_path / "m.onnx", feed)
    assert {name: array.shape for name, array in found.items()} == {"one": (3, 3), "two": (3, 2)}


def test_inputs_are_in_one_order_whatever_order_tensorflow_has(door, tmp_path):
    fed = [door.layers.Input((2,), name=name) for name in ("zeta", "beta10", "alpha", "beta9")]
    door.keras.Model(fed, door.layers.Add()(fed)).export(tmp_path / "saved", verbose=False)
    door.convert(SavedModelFolder(str(tmp_path / "saved")), tmp_path / "m.onnx")
    names = [value.name for value in onnx.load(tmp_path / "m.onnx").graph.input]
    assert names == ["alpha", "beta9", "beta10", "zeta"]


def test_many_outputs_are_counted_not_spelt(door, tmp_path):
    x = door.layers.Input((2,), name="x")
    outputs = [door.layers.Dense(size)(x) for size in range(1, 13)]
    door.keras.Model(x, outputs).export(tmp_path / "many", verbose=False)
    export = door.convert(SavedModelFolder(str(tmp_path / "many")), tmp_path / "m.onnx")
    found = export.predict({"x": np.zeros((2, 2), np.float32)})
    assert [array.shape[1] for array in found.values()] == list(range(1, 13))


def test_a_recurrent_layer(door, tmp_path):
    steps = door.layers.Input((5, 3), name="steps")
    both = door.layers.Concatenate()([door.layers.LSTM(4)(steps), door.layers.GRU(4)(steps)])
    door.keras.Model(steps, both).export(tmp_path / "rnn", verbose=False)
    feed = {"steps": np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)}
    source = SavedModelFolder(str(tmp_path / "rnn"))
    export, _ = compare(door, source, tmp_path / "m.onnx", feed)
    operators = {node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node}
    assert "LSTM" in operators
    (finding,) = export.findings
    assert finding.code == "OQ159"  # the GRU of Keras 3, whose trace is in the file already
    assert "Keras file" in finding.fix


def test_signature_of_plain_tensorflow(door, saved_module, tmp_path):
    constant = door.tf.constant([0.5, 0.25])
    folder = saved_module(
        "plain",
        twice=lambda module, x: {"y": 2 * (x @ module.weights)},
        shifted=lambda module, x: {"y": x @ module.weights + constant},
    )
    feed = {"x": np.ones((3, 3), np.float32)}
    for key, expected in (("twice", [18, 24]), ("shifted", [9.5, 12.25])):
        source = SavedModelFolder(str(folder), key)
        _, found = compare(door, source, tmp_path / f"{key}.onnx", feed)
        np.testing.assert_allclose(found["y"], [expected] * 3, rtol=1e-6)


def test_signature_that_does_not_exist(door, saved_module, tmp_path):
    folder = saved_module("two", one=lambda _, x: {"y": x}, other=lambda _, x: {"y": -x})
    with pytest.raises(SourceError, match="it has 'one', 'other'") as raised:
        door.convert(SavedModelFolder(str(folder)), tmp_path / "m.onnx")
    assert raised.value.code == "OQ118"
    assert "--signature other" in raised.value.hint


def test_no_signatures(door, tmp_path):
    door.tf.saved_model.save(door.tf.Module(), str(tmp_path / "none"))
    with pytest.raises(SourceError, match="has no signatures") as raised:
        door.convert(SavedModelFolder(str(tmp_path / "none")), tmp_path / "m.onnx")
    assert raised.value.code == "OQ118"


def touching(tf, folder):
    """Functions that touch more than tensors, by the operator's name."""
    mark = str(folder / "mark")

    def written(_, x):
        with tf.control_dependencies([tf.io.write_file(mark, "here")]):
            return {"y": tf.identity(x)}

    def printed(_, x):
        tf.print(x, output_stream=f"file://{mark}")
        return {"y": tf.identity(x)}

    return {
        "WriteFile": written,
        "ReadFile": lambda _, x: {"y": x + tf.strings.to_number(tf.io.read_file(mark))},
        "EagerPyFunc": lambda _, x: {"y": tf.py_function(lambda v: v * 2, [x], tf.float32)},
        "PrintV2": printed,
        "MatchingFiles": lambda _, x: {
            "y": x + tf.cast(tf.size(tf.io.matching_files("/*")), tf.float32)
        },
    }


@pytest.mark.parametrize(
    "operator", ["WriteFile", "ReadFile", "EagerPyFunc", "PrintV2", "MatchingFiles"]
)
def test_operators_that_reach_out_are_found_before_anything_is_loaded(
    door, saved_module, tmp_path, monkeypatch, operator
):
    folder = saved_module(operator, serving_default=touching(door.tf, tmp_path)[operator])

    def loaded(*_):
        pytest.fail("it was loaded")

    monkeypatch.setattr(door.tf.saved_model, "load", loaded)
    with pytest.raises(SourceError, match=rf"{operator} \(1x\)") as raised:
        door.convert(SavedModelFolder(str(folder)), tmp_path / "m.onnx")
    assert raised.value.code == "OQ109"
    assert "--trust" in raised.value.hint
    assert not (tmp_path / "mark").exists()


def test_operators_of_another_signature_count_too(door, saved_module, tmp_path):
    written = touching(door.tf, tmp_path)["WriteFile"]
    folder = saved_module("mixed", good=lambda _, x: {"y": x}, bad=written)
    with pytest.raises(SourceError, match="WriteFile") as raised:
        door.convert(SavedModelFolder(str(folder), "good"), tmp_path / "m.onnx")
    assert raised.value.code == "OQ109"


def test_every_operator_that_takes_a_file_or_a_program_is_known():
    """Read from TensorFlow's own registry, so that an operator of tomorrow is noticed."""
    from tensorflow.core.framework.op_def_pb2 import OpList  # noqa: PLC0415 - takes seconds
    from tensorflow.core.framework.types_pb2 import DT_STRING  # noqa: PLC0415 - as above
    from tensorflow.python.client import pywrap_tf_session  # noqa: PLC0415 - as above

    from onnxq.conversion.from_saved_model_operators import _REACHING_OUT  # noqa: PLC0415 - as above

    raw = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    telling = re.compile(r"file|path|ckpt|address|host|url|module|target_name|prefix")
    unknown = {
        operator.name
        for operator in OpList.FromString(raw).op
        for names in [
            [a.name for a in operator.attr if a.type == "string"],
            [a.name for a in operator.input_arg if a.type == DT_STRING],
        ]
        if telling.search(" ".join(names)) and not _REACHING_OUT.search(operator.name)
    }
    assert not unknown


def test_saving_in_what_loading_calls_is_found(door, tmp_path):
    """A table is made while TensorFlow loads it, by a function that no signature reaches."""
    tf = door.tf

    class Table(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            tf.raw_ops.SaveV2(
                prefix=str(tmp_path / "mark"),
                tensor_names=["a"],
                shape_and_slices=[""],
                tensors=[tf.constant(1.0)],
            )
            return tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.float32)

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = Table()

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
        def serve(self, x):
            return {"y": x * 2}

    module = Module()
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.serve)
    for path in tmp_path.glob("mark*"):
        path.unlink()
    with pytest.raises(SourceError, match="SaveV2") as raised:
        door.convert(SavedModelFolder(str(tmp_path / "saved")), tmp_path / "m.onnx")
    assert raised.value.code == "OQ109"
    assert not list(tmp_path.glob("mark*"))


def test_restoring_a_checkpoint_in_a_signature_is_found(door, saved_module, tmp_path):
    """Every SavedModel has these operators in its saver; here a signature reaches them."""
    restore = door.tf.raw_ops.RestoreV2
    folder = saved_module(
        "restoring",
        serving_default=lambda _, x: {
            "y": x
            + restore(
                prefix="a", tensor_names=["b"], shape_and_slices=[""], dtypes=[door.tf.float32]
            )[0]
        },
    )
    with pytest.raises(SourceError, match="RestoreV2") as raised:
        door.convert(SavedModelFolder(str(folder)), tmp_path / "m.onnx")
    assert raised.value.code == "OQ109"


def test_trusted_operators_run_where_they_can_be_written(door, saved_module, tmp_path):
    """tf2onnx drops what prints; the signature itself, which is compared, prints."""
    folder = saved_module("printing", serving_default=touching(door.tf, tmp_path)["PrintV2"])
    source = SavedModelFolder(str(folder))
    feed = {"x": np.ones((2, 3), np.float32)}
    _, found = compare(door, source, tmp_path / "m.onnx", feed, trust=True)
    np.testing.assert_array_equal(found["y"], feed["x"])
    assert (tmp_path / "mark").exists()


def test_trusted_operators_that_onnx_lacks(door, saved_module, tmp_path):
    python = touching(door.tf, tmp_path)["EagerPyFunc"]
    folder = saved_module(
        "shaped",
        serving_default=lambda _, x: {"y": door.tf.ensure_shape(python(_, x)["y"], [None, 3])},
    )
    with pytest.raises(ConversionError, match="EagerPyFunc") as raised:
        door.convert(SavedModelFolder(str(folder)), tmp_path / "m.onnx", trust=True)
    assert raised.value.code == "OQ151"


def test_any_number_of_axes_is_refused(door, saved_module, tmp_path):
    folder = saved_module("python", serving_default=touching(door.tf, tmp_path)["EagerPyFunc"])
    with pytest.raises(ConversionError, match="any number of axes") as raised:
        door.convert(SavedModelFolder(str(folder)), tmp_path / "m.onnx", trust=True)
    assert raised.value.code == "OQ151"


def test_declared_sizes(door, tmp_path):
    x = door.layers.Input((None, None, 3), name="x")
    model = door.keras.Model(x, door.layers.Conv2D(2, 3, padding="same", strides=2)(x))
    model.export(tmp_path / "free", verbose=False)
    source, declared = SavedModelFolder(str(tmp_path / "free")), ("N", 8, 6, 3)
    feed = {"x": np.ones((2, 8, 6, 3), np.float32)}
    _, found = compare(
        door, source, tmp_path / "m.onnx", feed, declared=(InputDeclaration("x", declared),)
    )
    assert found["output_0"].shape == (2, 4, 3, 2)


@pytest.fixture
def copied(saved_cnn, tmp_path):
    return shutil.copytree(saved_cnn, tmp_path / "copied")


@pytest.mark.parametrize(
    ("broken", "code", "says"),
    [
        ("no graph file", "OQ101", "saved_model.pb is not in it"),
        ("cut graph file", "OQ104", "cannot be parsed"),
        ("empty graph file", "OQ104", "holds no graph"),
        ("no variables", "OQ101", "variables are not in"),
        ("no data of variables", "OQ101", "variables are not in"),
        ("cut variables", "OQ104", "variables cannot be read"),
    ],
)
def test_broken_folder(door, copied, tmp_path, broken, code, says):
    graph, variables = copied / "saved_model.pb", copied / "variables"
    (data,) = variables.glob("variables.data-*")
    content = graph.read_bytes()
    {
        "no graph file": graph.unlink,
        "cut graph file": lambda: graph.write_bytes(content[: len(content) // 2]),
        "empty graph file": lambda: graph.write_bytes(b""),
        "no variables": lambda: shutil.rmtree(variables),
        "no data of variables": data.unlink,
        "cut variables": lambda: data.write_bytes(data.read_bytes()[:100]),
    }[broken]()
    with pytest.raises(SourceError, match=says) as raised:
        door.convert(SavedModelFolder(str(copied)), tmp_path / "m.onnx")
    assert raised.value.code == code
    assert not (tmp_path / "m.onnx").exists()


def test_graph_as_text(door, saved_cnn, copied, tmp_path):
    from google.protobuf import text_format  # noqa: PLC0415 - beside TensorFlow
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # noqa: PLC0415 - as above

    saved = SavedModel.FromString((saved_cnn / "saved_model.pb").read_bytes())
    (copied / "saved_model.pb").unlink()
    (copied / "saved_model.pbtxt").write_text(text_format.MessageToString(saved))
    export = door.convert(SavedModelFolder(str(copied)), tmp_path / "m.onnx")
    assert export.predict({"image": np.zeros((1, 12, 12, 3), np.float32)})


def test_rows_that_do_not_fit(door, saved_cnn, tmp_path):
    export = door.convert(SavedModelFolder(str(saved_cnn)), tmp_path / "m.onnx")
    with pytest.raises(InferenceError, match="TensorFlow failed") as raised:
        export.predict({"image": np.zeros((2, 4), np.float32)})
    assert raised.value.code == "OQ173"
