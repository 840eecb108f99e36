"""Inspecting: what a model is, and how each of its tensors is quantized."""

from pathlib import Path

import numpy as np

from onnxq.events import Tell
from onnxq.graph import (
    count_parameters,
    describe_model,
    foreign_domains,
    load_proto,
    min_runtime,
    model_size,
    used_domains,
)
from onnxq.graph.quantized_tensors import TensorQuantization, list_quantized
from onnxq.stages import InspectRequest, InspectResult, QuantizedTensor


def inspect_model(request: InspectRequest, folder: Path, tell: Tell) -> InspectResult:  # noqa: ARG001 - the signature of a stage
    """Describe a model without running it.

    Args:
        request: A private copy of an ``.onnx`` file, float or quantized.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        Signature, operators, size, and each quantized tensor in graph order. A tensor whose scale
        is computed while the model runs has no scales: 0 of them, from 0 to 0.

    Raises:
        SourceError: If the file is not a whole ONNX model, or takes what onnxq cannot feed.
    """
    proto = load_proto(request.path)
    return InspectResult(
        model=describe_model(proto, request.path),
        size=model_size(request.path),
        parameters=count_parameters(proto),
        domains=used_domains(proto),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        min_runtime=min_runtime(proto),
        quantized=tuple(map(_describe, list_quantized(proto))),
        foreign_domains=foreign_domains(proto),
    )


def _describe(tensor: TensorQuantization) -> QuantizedTensor:
    scales = tensor.scales.astype(np.float64)
    points = tensor.zero_points
    return QuantizedTensor(
        name=tensor.name,
        dtype=tensor.dtype,
        role=tensor.role,
        scheme="symmetric" if _is_symmetric(tensor) else "asymmetric",
        axis=tensor.axis,
        scales=scales.size,
        scale_min=float(scales.min()) if scales.size else 0.0,
        scale_max=float(scales.max()) if scales.size else 0.0,
        zero_point_min=int(points.min()) if points.size else 0,
        zero_point_max=int(points.max()) if points.size else 0,
    )


def _is_symmetric(tensor: TensorQuantization) -> bool:
    """Tell whether zero lies in the middle of the integers, for every scale."""
    if not tensor.zero_points.size:
        return False
    bits = int("".join(c for c in tensor.dtype if c.isdigit()))
    middle = 1 << (bits - 1) if tensor.dtype.startswith("uint") else 0
    return bool(np.all(tensor.zero_points == middle))
