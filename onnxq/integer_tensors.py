"""Inputs and outputs of a model that are integers standing for real numbers.

The arithmetic is that of ONNX's QuantizeLinear and DequantizeLinear: round half to even, then
saturate.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from onnxq.arrays import Array
from onnxq.tensors import Signature, TensorSpec


class IntegerTensor(Struct, frozen=True, kw_only=True):
    """An input or output that is integer where the float model's is float32.

    Attributes:
        name: Of the input or output.
        dtype: ``uint8`` or ``int8``.
        scale: Real numbers per step; finite and above zero.
        zero_point: The integer that stands for 0.0; within the dtype.
    """

    name: str
    dtype: str
    scale: float
    zero_point: int


def integer_io(signature: Signature) -> tuple[IntegerTensor, ...]:
    """Return the inputs and outputs of a model that are integers standing for real numbers."""
    return tuple(
        integer_tensor(spec)
        for spec in (*signature.inputs, *signature.outputs)
        if spec.stands_for_reals
    )


def integer_tensor(spec: TensorSpec) -> IntegerTensor:
    """Return the scale and the zero point of an input or output that has them."""
    return IntegerTensor(
        name=spec.name, dtype=spec.dtype, scale=spec.scale, zero_point=spec.zero_point
    )


def with_scales(signature: Signature, io: Sequence[IntegerTensor]) -> Signature:
    """Tell in a signature which of its integers stand for real numbers."""
    told = {tensor.name: tensor for tensor in io}

    def tell(spec: TensorSpec) -> TensorSpec:
        tensor = told.get(spec.name)
        if tensor is None or tensor.dtype != spec.dtype:
            return spec
        return replace(spec, scale=tensor.scale, zero_point=tensor.zero_point)

    return Signature(
        inputs=tuple(map(tell, signature.inputs)), outputs=tuple(map(tell, signature.outputs))
    )


def real_signature(signature: Signature) -> Signature:
    """Return a signature in which what stands for real numbers is float32."""

    def real(spec: TensorSpec) -> TensorSpec:
        if not spec.stands_for_reals:
            return spec
        return replace(spec, dtype="float32", scale=0.0, zero_point=0)

    return Signature(
        inputs=tuple(map(real, signature.inputs)), outputs=tuple(map(real, signature.outputs))
    )


def quantize_array(values: Array, tensor: IntegerTensor) -> Array:
    """Turn real numbers into the integers of a tensor.

    Args:
        values: float, any shape; NaN is not allowed.
        tensor: Scale and zero point.

    Returns:
        ``saturate(round_half_even(values / scale) + zero_point)``, of the tensor's dtype.
    """
    ends = np.iinfo(np.dtype(tensor.dtype))
    steps = np.rint(values.astype(np.float32) / np.float32(tensor.scale)) + tensor.zero_point
    integers: Array = np.clip(steps, ends.min, ends.max).astype(tensor.dtype)
    return integers


def dequantize_array(integers: Array, tensor: IntegerTensor) -> Array:
    """Turn the integers of a tensor into real numbers.

    Args:
        integers: Of the tensor's dtype, any shape.
        tensor: Scale and zero point.

    Returns:
        ``(integers - zero_point) * scale``, float32.
    """
    steps = integers.astype(np.int32) - tensor.zero_point
    return steps.astype(np.float32) * np.float32(tensor.scale)


def quantize_feeds(feeds: Mapping[str, Array], io: Sequence[IntegerTensor]) -> dict[str, Array]:
    """Turn the float inputs of one run into what an integer model takes.

    Args:
        feeds: Arrays by input name, as the float model takes them.
        io: Integer inputs and outputs of the model; those that are no feed do not matter.

    Returns:
        The same arrays; those that ``io`` names are integers. What is of the integers' dtype
        already is fed as it is.
    """
    tensors = {tensor.name: tensor for tensor in io}
    return {
        name: quantize_array(values, tensors[name])
        if name in tensors and values.dtype.kind == "f"
        else values
        for name, values in feeds.items()
    }


def dequantize_outputs(
    outputs: Mapping[str, Array], io: Sequence[IntegerTensor]
) -> dict[str, Array]:
    """Turn the outputs of an integer model into what the float model gives.

    Args:
        outputs: Arrays by output name.
        io: Integer inputs and outputs of the model.

    Returns:
        The same arrays; those that ``io`` names are float32.
    """
    tensors = {tensor.name: tensor for tensor in io}
    return {
        name: dequantize_array(values, tensors[name]) if name in tensors else values
        for name, values in outputs.items()
    }
