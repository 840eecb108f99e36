"""A weight that several nodes read becomes one weight per reader.

Pattern: a float initializer that a node which multiplies (Conv, Gemm, MatMul, LSTM, …) or a Gather
reads, and that is read elsewhere too. Replacement: a copy for each place but the first. Bit-exact.
Why: onnxruntime 1.31.1's dynamic quantizer transposes the weight of a Gemm with transB in place,
so that a second reader gets garbage (-1.1 dB, no error); its LSTM quantizer changes shapes in
place; the static one gives the weight one channel axis, whatever its readers want (12 dB). The
copies exist while quantizing; what stays equal is merged afterwards.
"""

import onnx
from onnx import ModelProto, TensorProto

from onnxq.graph.edits import Use, copy_of, fresh_name, initializers_of, taken_names, uses_of
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_READERS = frozenset({
    "Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Gather",
})  # fmt: skip


def split_shared_weights(proto: ModelProto) -> Rewritten:
    """Give every reader of a shared weight its own copy.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the weights that were shared.
    """
    split = copy_of(proto)
    taken = taken_names(split.graph)
    initializers = initializers_of(split.graph)
    outputs = {output.name for output in split.graph.output}
    subjects = []
    for name, uses in uses_of(split.graph).items():
        tensor = initializers.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or not _is_weight(uses):
            continue
        extra = uses if name in outputs else uses[1:]
        for use in extra:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = fresh_name(f"{name}_copy", taken)
            split.graph.initializer.append(copy)
            use.node.input[use.slot] = copy.name
        if extra:
            subjects.append(name)
    return Rewritten(split if subjects else proto, tuple(subjects))


def _is_weight(uses: list[Use]) -> bool:
    return any(use.node.op_type in _READERS for use in uses)


SPLIT_SHARED_WEIGHTS = Rewrite(
    "split shared weights",
    "bit-exact",
    "shared weights were split, because onnxruntime's quantizers change them in place",
    split_shared_weights,
    why="a shared weight quantized in place comes out at -1.1 dB in its second reader",
)
