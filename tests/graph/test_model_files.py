import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import SourceError
from onnxq.graph import (
    count_parameters,
    load_proto,
    model_size,
    read_model,
    side_files_of,
    write_proto,
)


def make_model():
    body = helper.make_graph(
        [helper.make_node("Add", ["a", "inner"], ["then_y"])],
        "then", [], [helper.make_tensor_value_info("then_y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "inner")],
    )  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "mm"),
        helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=body),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5]),
         helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.ones((5, 3), np.float32), "w"),
         numpy_helper.from_array(np.ones(7, np.int8), "unused"),
         helper.make_tensor("packed", TensorProto.INT4, [3], [1, 2, 3])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_size_counts_file_and_initializers(tmp_path):
    proto = make_model()
    write_proto(proto, tmp_path / "m.onnx")
    size = model_size(tmp_path / "m.onnx")
    assert size.file_bytes == (tmp_path / "m.onnx").stat().st_size == proto.ByteSize()
    assert size.initializer_bytes == {"float32": 4 * (15 + 2 * 3), "int4": 2, "int8": 7}
    assert model_size(proto) == size
    assert count_parameters(proto) == 15 + 6 + 7 + 3


def test_side_files_belong_to_the_model(tmp_path):
    onnx.save_model(
        make_model(), tmp_path / "m.onnx", save_as_external_data=True, location="m.data",
        size_threshold=16,
    )  # fmt: skip
    model = read_model(tmp_path / "m.onnx")
    assert model.side_files == (str(tmp_path / "m.data"),) == side_files_of(tmp_path / "m.onnx")
    whole = model_size(tmp_path / "m.onnx")
    assert whole.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert whole.initializer_bytes["float32"] == 84
    (tmp_path / "m.data").write_bytes(b"\x01" * (tmp_path / "m.data").stat().st_size)
    assert read_model(tmp_path / "m.onnx").sha256 != model.sha256


def test_model_of_one_file_has_its_digest(tmp_path):
    model = write_proto(make_model(), tmp_path / "m.onnx")
    assert model.sha256 == hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()
    assert model.operators == {"Add": 2, "If": 1, "MatMul": 1}
    assert (model.opset, model.ir_version, model.min_runtime) == (21, 10, "1.18")
    assert read_model(model.path) == model


def test_existing_file_is_never_overwritten(tmp_path):
    write_proto(make_model(), tmp_path / "m.onnx")
    with pytest.raises(FileExistsError):
        write_proto(make_model(), tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"\x08", b"<html>404</html>", b"version https://git-lfs"])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        load_proto(tmp_path / "m.onnx")
    assert caught.value.code == "OQ104"


def test_truncated_model_is_refused(tmp_path):
    write_proto(make_model(), tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="not a whole ONNX file"):
        load_proto(tmp_path / "m.onnx")
