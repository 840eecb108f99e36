"""onnxruntime's ``ONNXQuantizer`` in its dynamic mode, on protos instead of files.

``quantize_dynamic`` of onnxruntime 1.31 writes the model to disk three times to infer types, and
rounds weights channel by channel in Python: 4.0 CPU seconds for a ViT-S/16, instead of 1.3 here.
What it decides stays its own; what is replaced returns the same, bit for bit.
"""

import os
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxruntime.quantization import QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.quant_utils import (
    TENSOR_NAME_QUANT_SUFFIX,
    QuantizationMode,
    add_infer_metadata,
    find_by_name,
)

from onnxq.graph.inferred_values import infer_values
from onnxq.quantization.channel_rounding import round_channels, usual_scales
from onnxq.quantization.pair_overflow import widen_matrices


class DynamicQuantizer(ONNXQuantizer):  # type: ignore[misc]  # untyped base
    """onnxruntime's quantizer of weights, which leaves activations to the running model.

    Args:
        proto: What to quantize; it is changed.
        operators: What may become integer.
        left_out: Names of nodes that may not.
        per_channel: Whether each channel of a weight has a scale.
        lstm_per_channel: Whether those of an LSTM have, too; else each direction has one.
        saturates: Whether the CPU adds two products in 16 bits.
    """

    def __init__(
        self,
        proto: ModelProto,
        operators: Sequence[str],
        left_out: Sequence[str],
        *,
        per_channel: bool,
        lstm_per_channel: bool,
        saturates: bool = False,
    ) -> None:
        self._saturates = saturates
        self._lstm_per_channel = lstm_per_channel
        add_infer_metadata(proto)
        super().__init__(
            model=proto,
            per_channel=per_channel,
            reduce_range=saturates and not per_channel,
            mode=QuantizationMode.IntegerOps,
            # Else it writes the model to disk, to infer types. What else it does is done here.
            static=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=None,
            nodes_to_quantize=[],
            nodes_to_exclude=list(left_out),
            op_types_to_quantize=list(operators),
            extra_options={"MatMulConstBOnly": True},
        )
        self.static = False
        self.model.replace_gemm_with_matmul()
        self.value_infos = infer_values(self.model.model)
        nodes = self.model.model.graph.node
        self.tensor_names |= {name: 1 for node in nodes for name in node.output}
        self.generated_value_names = self.model.get_non_initializer_inputs()

    def is_per_channel(self) -> bool:
        """Say, as the quantizer of an LSTM asks, whether each channel has a scale."""
        return bool(self.per_channel and self._lstm_per_channel)

    def quantize_weight_per_channel_impl(
        self,
        weight_name: str,
        weight_qType: int,  # noqa: N803
        channel_axis: int,
        reduce_range: bool = True,  # noqa: FBT001, FBT002, ARG002
        keep_float_weight: bool = False,  # noqa: FBT001, FBT002
    ) -> tuple[str, str, str]:
        """Store a weight as int8; return the names of integers, zero points and scales."""
        tensor = find_by_name(weight_name, self.model.initializer())
        if weight_qType != TensorProto.INT8 or tensor.data_type != TensorProto.FLOAT:
            names: tuple[str, str, str] = super().quantize_weight_per_channel_impl(
                weight_name, weight_qType, channel_axis, keep_float_weight=keep_float_weight
            )
            return names
        weights = numpy_helper.to_array(tensor)
        axis = channel_axis % weights.ndim
        scales = usual_scales(weights, axis)
        if self._saturates:
            scales = widen_matrices(weights, scales, axis)
        scale, zero_point = f"{weight_name}_scale", f"{weight_name}_zero_point"
        integers = f"{weight_name}{TENSOR_NAME_QUANT_SUFFIX}"
        count = [len(scales)]
        self.model.initializer_extend(
            [
                helper.make_tensor(scale, TensorProto.FLOAT, count, scales.tolist()),
                helper.make_tensor(zero_point, TensorProto.INT8, count, np.zeros(count, np.int8)),
                numpy_helper.from_array(round_channels(weights, scales, axis), integers),
            ]
        )
        return integers, zero_point, scale


def quantize_weights_of(
    proto: ModelProto,
    operators: Sequence[str],
    left_out: Sequence[str],
    *,
    per_channel: bool,
    lstm_per_channel: bool = True,
    saturates: bool = False,
) -> ModelProto:
    """Quantize as ``quantize_dynamic`` does, without files.

    Args:
        proto: What to quantize; it is changed.
        operators: What may become integer; Gemm becomes MatMul and Add before this is looked at.
        left_out: Names of nodes that may not.
        per_channel: Whether each channel of a weight has a scale.
        lstm_per_channel: Whether those of an LSTM have, too; else each direction has one.
        saturates: Whether the CPU adds two products in 16 bits, which they must not exceed.

    Returns:
        The quantized model, its nodes in topological order.
    """
    quantizer = DynamicQuantizer(
        proto,
        operators,
        left_out,
        per_channel=per_channel,
        lstm_per_channel=lstm_per_channel,
        saturates=saturates,
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: ModelProto = quantizer.model.model
    return quantized
