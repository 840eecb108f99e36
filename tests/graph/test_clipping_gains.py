import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.clipping_gains import find_clipping_gains
from onnxq.graph.tensor_flow import trace_tensors

SMOOTH = np.full((4, 3, 3, 3), 0.1, np.float32)
DIFFERENCE = np.tile(np.float32([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), (4, 3, 1, 1))
POINT = np.ones((4, 3, 1, 1), np.float32)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def gains_of(nodes, **weights):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return find_clipping_gains(trace_tensors(graph))


@pytest.mark.parametrize(
    ("weights", "gain"), [(SMOOTH, 9.0), (DIFFERENCE, 1.0), (POINT, 1.0), (0 * SMOOTH, 1.0)]
)
def test_kernels_that_smooth_pass_clipping_on(weights, gain):
    found = gains_of([node("Conv", ["x", "w"], ["y"])], w=weights)
    assert found == {"x": pytest.approx(gain, rel=1e-6)}


def test_the_gain_is_what_a_convolution_does_to_noise_and_to_a_patch():
    """The oracle: errors of either kind go through the kernel."""
    generator = np.random.default_rng(0)
    weights = (generator.standard_normal((8, 5, 3, 3)) + 0.5).astype(np.float32)
    gain = gains_of([node("Conv", ["x", "w"], ["y"])], w=weights)["x"]

    def power(errors):
        return np.square(np.einsum("ockl,nckl->no", weights, errors)).mean()

    independent = power(generator.standard_normal((20_000, 5, 3, 3)))
    patches = np.broadcast_to(generator.standard_normal((20_000, 5, 1, 1)), (20_000, 5, 3, 3))
    assert gain == pytest.approx(power(patches) / independent, rel=0.05)


def test_what_hands_errors_on_is_judged_by_its_readers():
    nodes = [
        node("Relu", ["x"], ["a"]), node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2]),
        node("Add", ["b", "b"], ["c"]), node("Conv", ["c", "w"], ["y"]),
    ]  # fmt: skip
    found = gains_of(nodes, w=SMOOTH)
    assert found == {name: pytest.approx(9.0) for name in "xabc"}


def test_of_several_readers_the_mean_is_taken():
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Conv", ["x", "p"], ["b"]),
             node("Add", ["a", "b"], ["y"])]  # fmt: skip
    assert gains_of(nodes, w=SMOOTH, p=POINT)["x"] == pytest.approx(5.0)


def test_pools_average_rounding_away():
    nodes = [node("GlobalAveragePool", ["x"], ["a"]), node("Flatten", ["a"], ["f"]),
             node("Gemm", ["f", "w"], ["y"])]  # fmt: skip
    found = gains_of(nodes, w=np.ones((4, 4), np.float32))
    assert found == {"x": 9.0, "a": 1.0, "f": 1.0}


def test_a_deep_residual_network_needs_no_deep_stack():
    nodes = [node("Conv", ["x", "w"], ["c0"]), node("Add", ["x", "c0"], ["a0"])]
    for at in range(1, 2000):
        nodes += [node("Conv", [f"a{at - 1}", "w"], [f"c{at}"]),
                  node("Add", [f"a{at - 1}", f"c{at}"], [f"a{at}"])]  # fmt: skip
    nodes.append(node("Relu", ["a1999"], ["y"]))
    found = gains_of(nodes, w=np.ones((1, 1, 3, 3), np.float32))
    assert found["x"] == pytest.approx(9.0)
    assert found["a1999"] == 1.0
