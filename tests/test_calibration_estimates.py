"""What a calibration would cost is told before it is made."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.datasets.values import DataRequest
from onnxq.errors import LimitError
from onnxq.estimating import estimate
from onnxq.events import tell_nobody
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.stages import EstimateRequest, NoDataRequest, RangesAsked

ASKED = (RangesAsked(recipe=StaticQdq(ranges=MinMax())),)


def conv_net(batch="N", height=12):
    generator = np.random.default_rng(2)
    weights = generator.standard_normal((16, 3, 3, 3)).astype(np.float32)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        "net",
        [info("x", TensorProto.FLOAT, [batch, 3, height, 12])],
        [info("y", TensorProto.FLOAT, [batch, 16, height, 12])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def estimated(folder, proto, *, asked=ASKED, memory_bytes=0, rows=20):
    onnx.save(proto, folder / "model.onnx")
    np.save(folder / "x.npy", np.zeros((rows, 3, 12, 12), np.float32))
    work = folder / "work"
    work.mkdir()
    request = EstimateRequest(
        model=str(folder / "model.onnx"),
        declared=(),
        data=NoDataRequest(),
        calibration=DataRequest(spec=str(folder / "x.npy")),
        split=False,
        asked=asked,
        memory_bytes=memory_bytes,
        threads=2,
    )
    found = estimate(request, work, tell_nobody)
    assert not list(work.iterdir())
    return found


@pytest.mark.parametrize("batch", ["N", 4])
def test_time_and_memory_of_a_calibration_are_told(batch, tmp_path):
    found = estimated(tmp_path, conv_net(batch))
    assert found.calibration_rows == 20
    assert found.calibration_passes == 1
    assert 0 < found.calibration_row_ns < 10**9
    assert 2**20 < found.calibration_peak_bytes < 2**28
    assert found.not_calibrated == ""


def test_nothing_is_rehearsed_that_nobody_asked_for(tmp_path):
    found = estimated(tmp_path, conv_net(), asked=())
    assert found.row_ns > 0
    assert found.calibration_row_ns == found.calibration_peak_bytes == -1


def test_a_cap_that_cannot_be_kept_is_told_before(tmp_path):
    with pytest.raises(LimitError) as caught:
        estimated(tmp_path, conv_net(), memory_bytes=1000)
    assert caught.value.code == "OQ185"


def test_a_model_that_cannot_be_run_is_told_once(tmp_path):
    found = estimated(tmp_path, conv_net(height="H"))
    assert found.not_timed
    assert found.calibration_row_ns == -1
    assert found.not_calibrated == ""


def test_nothing_to_watch_costs_nothing(tmp_path):
    proto = conv_net()
    del proto.graph.node[0]
    proto.graph.node[0].input[0] = "x"
    del proto.graph.output[0].type.tensor_type.shape.dim[1]
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    found = estimated(tmp_path, proto)
    assert (found.calibration_passes, found.calibration_peak_bytes) == (0, 0)
