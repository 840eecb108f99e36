"""onnxruntime's ``QDQQuantizer``, told what to quantize and with which scales.

It stays the engine; three of its loops over channels are replaced, by
:mod:`onnxq.quantization.channel_rounding`, and one over nodes, by
:mod:`onnxq.quantization.indexed_model`. They return what they returned.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.base_quantizer import QuantizationParams
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantTensorType, QDQTensorQuantizedValue
from onnxruntime.quantization.quant_utils import (
    TENSOR_NAME_QUANT_SUFFIX,
    QuantizedValue,
    QuantizedValueType,
    add_dequant_output_suffix,
    add_dequant_suffix,
    add_infer_metadata,
)

from onnxq.errors import QuantizationError
from onnxq.graph.operator_kinds import QDQ_OPERATORS
from onnxq.quantization.channel_rounding import raise_for_biases, round_channels, usual_scales
from onnxq.quantization.indexed_model import IndexedModel
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation


@dataclass(frozen=True)
class EdgePlan:
    """What onnxruntime's quantizer is told.

    Attributes:
        nodes: Names of the nodes to quantize; not empty (empty means all to onnxruntime).
        ranges: By name, of exactly the activations to quantize.
        per_tensor: Weights that get one scale.
        fused: Activations between a node and the Relu or Clip that alone reads them: not
            quantized where a symmetric grid cannot stand for the Relu or Clip, which then stays
            and whose result is quantized.
        scales: Overrides of onnxruntime's scales by weight, as its ``TensorQuantOverrides``.
    """

    nodes: tuple[str, ...]
    ranges: dict[str, TensorRange]
    per_tensor: frozenset[str]
    fused: frozenset[str]
    scales: dict[str, list[dict[str, Any]]]


class EdgeQuantizer(QDQQuantizer):  # type: ignore[misc]  # untyped base
    """onnxruntime's quantizer, told which activations to quantize.

    As it comes, it quantizes what each quantized node reads and returns. A Gemm or MatMul in front
    of a Softmax or a graph output has a kernel that returns float at no cost; quantizing its
    result there would cost accuracy for nothing. The option that onnxruntime 1.31 has
    (``OpTypesToExcludeOutputQuantization``) knows operator types only. And it makes results share
    the scale of what they were made from where they need not.

    Args:
        proto: What to quantize; it is changed.
        plan: What to quantize of it.
        activation: dtype of activations.
    """

    def __init__(self, proto: onnx.ModelProto, plan: EdgePlan, activation: Activation) -> None:
        self._plan = plan
        self.tensors_to_quantize: dict[str, Any] = {}
        is_symmetric = activation == "int16"
        super().__init__(
            model=proto,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt16 if is_symmetric else QuantType.QUInt8,
            tensors_range={name: _tensor_data(one) for name, one in plan.ranges.items()},
            nodes_to_quantize=list(plan.nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(QDQ_OPERATORS),
            extra_options={
                "WeightSymmetric": True,
                "ActivationSymmetric": is_symmetric,
                "TensorQuantOverrides": plan.scales,
            },
        )
        self.model = IndexedModel(proto)

    def is_tensor_per_channel(
        self, tensor_name: str, default_axis: int, op_type: str | None = None
    ) -> tuple[bool, int | None]:
        """Say whether a weight gets a scale per channel, and along which axis."""
        if tensor_name in self._plan.per_tensor:
            return False, None
        told: tuple[bool, int | None] = super().is_tensor_per_channel(
            tensor_name, default_axis, op_type
        )
        return told

    def is_tensor_quantized(self, tensor_name: str) -> bool:
        """Say whether a tensor is quantized; what an activation fuses with counts as such."""
        return tensor_name in self._plan.fused or bool(super().is_tensor_quantized(tensor_name))

    def quantize_activation_tensor(self, tensor_name: str) -> None:
        """Mark an activation for quantizing if it is one of ours."""
        if tensor_name in self._plan.ranges:
            super().quantize_activation_tensor(tensor_name)

    def quantize_output_same_as_input(
        self, output_name: str, input_name: str, node_name: str
    ) -> None:
        """Let a result have the scale of what it was made from, if their ranges are the same.

        onnxruntime does so for an AveragePool as well, whose result is several times smaller than
        what it reads; the kernel takes a scale for each.
        """
        if self._plan.ranges.get(output_name) == self._plan.ranges.get(input_name):
            super().quantize_output_same_as_input(output_name, input_name, node_name)
        else:
            self.quantize_activation_tensor(output_name)

    def _calc_initializer_quant_params(self) -> dict[str, QuantizationParams]:
        """Choose scale and zero point of each constant; per channel in one expression a weight."""
        marked = self.tensors_to_quantize
        ours = {
            name: info.axis
            for name, info in marked.items()
            if info.tensor_type is QDQQuantTensorType.WEIGHT
            and info.axis is not None
            and info.data_type == TensorProto.FLOAT
            and name not in self._plan.scales
        }
        self.tensors_to_quantize = {n: info for n, info in marked.items() if n not in ours}
        chosen: dict[str, QuantizationParams] = super()._calc_initializer_quant_params()
        self.tensors_to_quantize = marked
        for name, axis in ours.items():
            scales = usual_scales(numpy_helper.to_array(self.initializers[name]), axis)
            chosen[name] = QuantizationParams(
                zero_point=np.zeros(scales.shape, np.int8),
                scale=scales,
                quant_type=self.weight_qType,
                axis=axis,
            )
        return chosen

    def _adjust_weight_scale_for_int32_bias(
        self,
        input_scale: Any,  # noqa: ANN401 - an array of onnxruntime's
        weight_scale: Any,  # noqa: ANN401
        weight_name: str,
        bias_tp: onnx.TensorProto,
        is_per_channel: bool,  # noqa: FBT001 - onnxruntime passes it by position
    ) -> tuple[bool, Any]:
        """Raise scales of weights until the bias fits int32."""
        biases = numpy_helper.to_array(bias_tp)
        if not is_per_channel or weight_scale.shape != biases.shape:
            told: tuple[bool, Any] = super()._adjust_weight_scale_for_int32_bias(
                input_scale, weight_scale, weight_name, bias_tp, is_per_channel
            )
            return told
        raised = raise_for_biases(weight_scale, float(input_scale), biases)
        return not np.array_equal(raised, weight_scale), raised

    def _add_qdq_nodes_for_initializer(self, weight_proto: onnx.TensorProto) -> None:
        """Store a constant as integers, and dequantize it; per channel in one expression."""
        name = weight_proto.name
        params = self.initializer_quant_params[name]
        axis = params.get("axis")
        if (
            axis is None
            or name in self.quantized_value_map
            or params["quant_type"] != TensorProto.INT8
            or params["zero_point"].any()
        ):
            super()._add_qdq_nodes_for_initializer(weight_proto)
            return
        written = self._make_scale_zp_initializers(name, params)
        weights = numpy_helper.to_array(weight_proto)
        integers = numpy_helper.from_array(
            round_channels(weights, params["scale"], axis), f"{name}{TENSOR_NAME_QUANT_SUFFIX}"
        )
        self.model.add_initializer(integers)
        scale, zero_point = written.scale.name, written.zero_point.name
        dequantized = add_dequant_output_suffix(name)
        self.model.replace_input_of_all_nodes(name, dequantized)
        self._create_dq_node(
            integers.name, dequantized, add_dequant_suffix(name), scale, zero_point, axis=axis
        )
        value = QuantizedValue(
            name, integers.name, scale, zero_point, QuantizedValueType.Initializer, axis=axis
        )
        self.quantized_value_map[name] = QDQTensorQuantizedValue(value, None, None)

    def quantize_sorted(self) -> onnx.ModelProto:
        """Quantize, and put the nodes into topological order, as the specification asks for."""
        proto: onnx.ModelProto = self.quantize_model()
        self.model.topological_sort()
        return proto


def quantize_edges(
    proto: onnx.ModelProto, plan: EdgePlan, activation: Activation
) -> onnx.ModelProto:
    """Quantize what a plan says.

    Args:
        proto: What to quantize; it is changed.
        plan: What to quantize of it.
        activation: dtype of activations.

    Returns:
        The quantized model, with the metadata of the float one.

    Raises:
        QuantizationError: OQ171 if onnxruntime's quantizer fails.
    """
    metadata = list(proto.metadata_props)
    _declare_floats(proto.graph, plan)
    add_infer_metadata(
        proto
    )  # else it writes the model to disk to infer shapes, which it has no use for
    try:
        quantized = EdgeQuantizer(proto, plan, activation).quantize_sorted()
    except Exception as error:  # it raises AssertionError, KeyError, ValueError and others
        message = f"onnxruntime's quantizer failed: {type(error).__name__}: {error}"
        hint = "Keep fp32 or try -r int8-dynamic, and report the model to onnxq."
        raise QuantizationError(message, code="OQ171", hint=hint) from error
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(metadata)
    return quantized


def _tensor_data(one: TensorRange) -> TensorData:
    return TensorData(lowest=np.float32(one.low), highest=np.float32(one.high))


def _declare_floats(graph: onnx.GraphProto, plan: EdgePlan) -> None:
    """Declare the calibrated activations float32: the quantizer skips what has no known type."""
    declared = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in plan.ranges
        if name not in declared
    )
