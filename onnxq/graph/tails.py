"""What a tensor reaches with nothing but a change of shape between."""

from collections.abc import Iterator

import onnx

from onnxq.graph.tensor_flow import TensorFlow
from onnxq.tensor_uses import TailKind

_SHAPING = frozenset({
    "Cast", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
})  # fmt: skip
_COMPARING = frozenset({"Softmax", "LogSoftmax"})


def tail_of(name: str, flow: TensorFlow) -> TailKind:
    """Tell what kind of tail begins at a tensor.

    Args:
        name: An activation.
        flow: The edges of its graph.

    Returns:
        ``ranked`` if it reaches a graph output or an operator that compares its values;
        ``sigmoid`` if Sigmoids alone read it. Where a Sigmoid reads it beside others it is
        ``ranked`` if that Sigmoid makes an output, else ``inner``: a gate, such as that of
        ``x * Sigmoid(x)``.
    """
    if name in flow.outputs:
        return "ranked"
    readers = list(_readers_of(name, flow))
    kinds = {reader.op_type for reader in readers}
    if any(_compares(reader, flow) for reader in readers) or _reaches_output(name, flow):
        return "ranked"
    if kinds == {"Sigmoid"}:
        return "sigmoid"
    sigmoids = (reader.output[0] for reader in readers if reader.op_type == "Sigmoid")
    return "ranked" if any(_reaches_output(made, flow) for made in sigmoids) else "inner"


def _compares(reader: onnx.NodeProto, flow: TensorFlow) -> bool:
    """Whether an operator compares values of one tensor: two parts of it by their difference."""
    if reader.op_type != "Sub":
        return reader.op_type in _COMPARING
    makers = [flow.producers.get(name) for name in reader.input]
    first, second = ((one.op_type, one.output[0]) if one else ("", "") for one in makers)
    return first == second and first[0] == "Split"


def _readers_of(name: str, flow: TensorFlow) -> Iterator[onnx.NodeProto]:
    """Yield what reads a tensor in any shape."""
    for reader in flow.read_by(name):
        if reader.op_type in _SHAPING:
            for made in reader.output:
                yield from _readers_of(made, flow)
        else:
            yield reader


def _reaches_output(name: str, flow: TensorFlow) -> bool:
    return name in flow.outputs or any(
        _reaches_output(made, flow)
        for reader in flow.read_by(name)
        if reader.op_type in _SHAPING
        for made in reader.output
    )
