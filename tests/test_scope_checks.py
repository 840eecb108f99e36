import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import RecipeError
from onnxq.graph import read_model
from onnxq.scope_checks import check_scopes
from onnxq.scopes import EVERYTHING, QuantizationScope


@pytest.fixture
def linear(tmp_path):
    """A MatMul and an Add, of which preparing makes a Gemm."""
    weights = {"w": np.ones((4, 3), np.float32), "b": np.ones(3, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
            helper.make_node("Add", ["h", "b"], ["y"], "sum"),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    return read_model(tmp_path / "m.onnx")


def test_what_is_in_the_model_as_given_is_not_prepared(linear, tmp_path):
    folder = tmp_path / "absent"
    check_scopes(linear, [EVERYTHING, QuantizationScope(keep_float=("prod*",))], folder)
    assert not folder.exists()


def test_what_preparing_makes_is_found(linear, tmp_path):
    check_scopes(linear, [QuantizationScope(skip_operators=("Gemm",))], tmp_path)


def test_what_is_in_neither_is_refused(linear, tmp_path):
    with pytest.raises(RecipeError, match="no node like 'prodcut'") as caught:
        check_scopes(linear, [EVERYTHING, QuantizationScope(keep_float=("prodcut",))], tmp_path)
    assert caught.value.code == "OQ164"
    assert "once prepared" in caught.value.hint
