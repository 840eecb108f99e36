"""How much more strongly clipping comes through than rounding, by what reads a tensor.

Behind a Conv, a Gemm or a MatMul with constant weights ``w``, an error ``e`` of the input becomes
``sum_k(w[o, k] * e[k])`` in output ``o``. What that amounts to depends on how errors go together:

* Rounding errors are independent. Powers add up: ``mean_o(sum_k(w[o, k]^2))``.
* Clipping cuts off the largest values, and those lie side by side in one channel: all over the
  window of a kernel errors have one sign, and amplitudes add up; from channel to channel powers
  do: ``mean_o(sum_c(sum_window(w[o, c, window])^2))``.

The gain is the ratio of the two. A kernel that smooths has up to as many as it has taps; one that
takes differences suppresses clipping, but values that stand alone are clipped as well, and then
count like any other error: so no gain is below 1. A Gemm, a MatMul and a pointwise Conv tell no
difference. Add, Mul, Concat, and what moves or bounds values, hand errors on to their readers.
An average pool averages rounding away, and clipping only beyond its neighbourhood.

Gains do not tell how much a tensor matters: that is the same at whatever range. So of several
readers the mean is taken, each being judged by its own signal.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from onnxq.graph.operator_kinds import ABSORBED, MOVING
from onnxq.graph.tensor_flow import TensorFlow

_HANDING_ON = ABSORBED | MOVING | frozenset({"Add", "Sub", "Mul", "Concat", "LeakyRelu", "Pad"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean"})
_NEIGHBOURHOOD = 9.0  # values that are clipped together, about: three by three


def find_clipping_gains(flow: TensorFlow) -> dict[str, float]:
    """Find out for each tensor how much more strongly clipping comes through than rounding.

    Args:
        flow: The edges of a float graph.

    Returns:
        A ratio of powers by tensor name, at least 1; tensors that nothing reads are missing.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for node in reversed(flow.nodes):
        behind = _mean(gain for name in node.output for gain in found.get(name, ()))
        for slot, name in enumerate(node.input):
            if name and name not in flow.initializers:
                found[name].append(_gain_through(node, slot, flow, behind))
    return {name: _mean(gains) for name, gains in found.items()}


def _gain_through(node: onnx.NodeProto, slot: int, flow: TensorFlow, behind: float) -> float:
    if node.op_type == "Conv" and slot == 0 and node.input[1] in flow.initializers:
        return _window_gain(flow.initializers[node.input[1]])
    if node.op_type in _POOLS:
        return behind * _NEIGHBOURHOOD
    return behind if node.op_type in _HANDING_ON else 1.0


def _window_gain(weights: onnx.TensorProto) -> float:
    """Compare amplitudes that add up over windows with powers that do; weights ``[O, C, *K]``."""
    if all(size == 1 for size in weights.dims[2:]):
        return 1.0
    values = numpy_helper.to_array(weights)
    independent = float(np.square(values).sum(dtype=np.float64))
    windows = values.sum(axis=tuple(range(2, values.ndim)), dtype=np.float64)
    together = float(np.vdot(windows, windows))
    return max(1.0, together / independent) if independent else 1.0


def _mean(gains: Iterable[float]) -> float:
    known = list(gains)
    return sum(known) / len(known) if known else 1.0
