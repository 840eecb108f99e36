"""What a calibration would cost is told before it is made."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.datasets.values import DataRequest
from onnxq.errors import LimitError
from onnxq.estimating import _judging_rows, estimate
from onnxq.events import tell_nobody
from onnxq.graph.model_files import read_model
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


def estimated(folder, proto, *, asked=ASKED, memory_bytes=0, rows=20, stop_early=False):
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
        stop_early=stop_early,
    )
    found = estimate(request, work, tell_nobody)
    assert not list(work.iterdir())
    return found


def onnx_model(folder):
    onnx.save(conv_net(), folder / "model.onnx")
    return read_model(folder / "model.onnx")


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


def test_a_plan_reckons_with_all_rows_and_with_rounds(tmp_path):
    found = [
        estimated(one, conv_net(), rows=rows, stop_early=stop_early).calibration_peak_bytes
        for rows, stop_early in [(20, False), (50_000, False), (50_000, True)]
        for one in [tmp_path / f"{rows}{stop_early}"]
        if not one.mkdir()
    ]
    per_run = 2 * 17 * 50_000  # two tensors are watched
    assert found[1] - found[0] > per_run / 2
    assert found[2] - found[1] > per_run / 2


def test_only_a_model_that_is_judged_is_run_on_many_rows(tmp_path):
    """Else the peak would be that of a run which nobody asked for, or not, as the clock goes."""
    model = onnx_model(tmp_path)
    assert _judging_rows(model, 0) == 1
    assert [_judging_rows(model, judged) for judged in (20, 1000, -1)] == [20, 32, 32]


def test_what_loading_a_row_takes_is_told(tmp_path):
    assert 0 < estimated(tmp_path, conv_net()).loading_row_ns < 10**9


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
