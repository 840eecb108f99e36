"""ONNX files become values, and protos become files."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from onnxq.errors import SourceError
from onnxq.models import OnnxModel
from onnxq.tensors import DTYPES, Dim, DType, Signature, TensorSpec

_QUANTIZED = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger", "QGemm", "QAttention", "MatMulNBits", "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QLinearAdd", "QLinearMul",
})  # fmt: skip
_HINT = "Export the model again, or check the download: onnx.checker tells more."


def load_proto(path: Path | str) -> onnx.ModelProto:
    """Load an ``.onnx`` file with its external data.

    Args:
        path: The file.

    Returns:
        The proto.

    Raises:
        SourceError: If the file is not a whole ONNX model.
    """
    try:
        proto = onnx.load(str(path))
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        message = f"{Path(path).name} is not a whole ONNX file: {error}"
        raise SourceError(message, code="OQ104", hint=_HINT) from error
    if not proto.graph.node or not proto.opset_import:
        message = f"{Path(path).name} holds no graph: found {len(proto.graph.node)} nodes."
        raise SourceError(message, code="OQ104", hint=_HINT)
    return proto


def write_proto(proto: onnx.ModelProto, path: Path | str) -> OnnxModel:
    """Write a proto as one file and describe it.

    Args:
        proto: A model below 2 GB.
        path: Where to; must not exist yet.

    Returns:
        The model as it lies on disk.
    """
    with Path(path).open("xb") as file:
        file.write(proto.SerializeToString(deterministic=True))
    return describe_model(proto, path)


def read_model(path: Path | str) -> OnnxModel:
    """Load, check and describe an ``.onnx`` file.

    Args:
        path: The file.

    Returns:
        The model.

    Raises:
        SourceError: If the file is not a whole ONNX model.
    """
    return describe_model(load_proto(path), path)


def describe_model(proto: onnx.ModelProto, path: Path | str) -> OnnxModel:
    """Describe a proto that lies at ``path``."""
    operators = Counter(node.op_type for node in walk_nodes(proto.graph))
    return OnnxModel(
        path=str(path),
        signature=read_signature(proto.graph),
        opset=default_opset(proto),
        ir_version=proto.ir_version,
        operators=dict(sorted(operators.items())),
        quantized_nodes=sum(n for name, n in operators.items() if name in _QUANTIZED),
        sha256=_sha256(Path(path)),
    )


def default_opset(proto: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that a model imports; 0 if none."""
    return next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0)


def walk_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, those of subgraphs (If, Loop, Scan) included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from walk_nodes(attribute.g)
            for subgraph in attribute.graphs:
                yield from walk_nodes(subgraph)


def read_signature(graph: onnx.GraphProto) -> Signature:
    """Read a graph's inputs (without initializers) and outputs."""
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in initializers)
    return Signature(inputs=inputs, outputs=tuple(_spec(value) for value in graph.output))


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape: list[Dim] = []
    for axis, dim in enumerate(tensor.shape.dim):
        if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0:
            shape.append(dim.dim_value)
        else:
            shape.append(dim.dim_param or ("N" if axis == 0 else f"{value.name}_{axis}"))
    return TensorSpec(value.name, _dtype(value), tuple(shape))


def _dtype(value: onnx.ValueInfoProto) -> DType:
    elem_type = value.type.tensor_type.elem_type
    name = onnx.TensorProto.DataType.Name(elem_type).lower()
    name = {"float": "float32", "double": "float64"}.get(name, name)
    for dtype in DTYPES:
        if dtype == name:
            return dtype
    message = f"{value.name!r} is of type {name}, which onnxq cannot feed."
    raise SourceError(message, code="OQ111", hint="Cast it outside the model, to float32 or int64.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
