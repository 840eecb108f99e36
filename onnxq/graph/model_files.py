"""ONNX files become values, and protos become files."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from onnxq.errors import SourceError
from onnxq.graph.integer_io import read_integer_io
from onnxq.graph.nodes import default_opset, is_quantizing, walk_nodes
from onnxq.graph.portability import min_runtime
from onnxq.integer_tensors import with_scales
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.tensors import DTYPES, Dim, DType, Signature, TensorSpec

_LARGEST_FILE_BYTES = 2**31 - 1
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


def load_graph(path: Path | str) -> onnx.GraphProto:
    """Load the graph of an ``.onnx`` file alone; external data is not read.

    Args:
        path: A file that was loaded before.
    """
    return onnx.load(str(path), load_external_data=False).graph


def write_proto(proto: onnx.ModelProto, path: Path | str) -> OnnxModel:
    """Write a proto as one file and describe it.

    Args:
        proto: A model below 2 GB.
        path: Where to; must not exist yet.

    Returns:
        The model as it lies on disk.

    Raises:
        SourceError: OQ111 if the model does not fit into one file.
    """
    # ByteSize, of protobuf's upb, takes as long as serializing.
    try:
        written = proto.SerializeToString(deterministic=True)
    except (ValueError, EncodeError) as error:
        raise _too_large(str(error)) from error
    if len(written) > _LARGEST_FILE_BYTES:
        found = f"found {len(written)} bytes"
        raise _too_large(found)
    with Path(path).open("xb") as file:
        file.write(written)
    return _describe(proto, path, ())


def _too_large(why: str) -> SourceError:
    message = f"the model does not fit into one file below 2 GB: {why}."
    hint = "Give a smaller model; external data files are not written."
    return SourceError(message, code="OQ111", hint=hint)


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
    """Describe a proto that lies at ``path``.

    Args:
        proto: The model.
        path: Its file; external data files beside it are found through it.

    Returns:
        The model as a value.
    """
    return _describe(proto, path, side_files_of(path))


def _describe(proto: onnx.ModelProto, path: Path | str, side_files: tuple[str, ...]) -> OnnxModel:
    operators = Counter(node.op_type for node in walk_nodes(proto.graph))
    return OnnxModel(
        path=str(path),
        signature=with_scales(read_signature(proto.graph), read_integer_io(proto)),
        opset=default_opset(proto),
        ir_version=proto.ir_version,
        operators=dict(sorted(operators.items())),
        quantized_nodes=sum(n for name, n in operators.items() if is_quantizing(name)),
        sha256=_sha256((Path(path), *map(Path, side_files))),
        side_files=side_files,
        min_runtime=min_runtime(proto),
    )


def side_files_of(path: Path | str) -> tuple[str, ...]:
    """Return the paths of the external data files of an ``.onnx`` file, sorted."""
    proto = onnx.load(str(path), load_external_data=False)
    locations = {
        entry.value
        for tensor in _stored_tensors(proto.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(str(Path(path).parent / location) for location in sorted(locations))


def model_size(model: onnx.ModelProto | Path | str) -> Size:
    """Weigh a model.

    Args:
        model: A proto, or the path of an ``.onnx`` file.

    Returns:
        Bytes of the file and its side files (of the proto as it would be written), and bytes of
        initializers by dtype, those of subgraphs included.

    Raises:
        SourceError: If the file is not a whole ONNX model.
    """
    if isinstance(model, onnx.ModelProto):
        return Size(file_bytes=model.ByteSize(), initializer_bytes=_initializer_bytes(model))
    proto = load_proto(model)
    paths = (Path(model), *map(Path, side_files_of(model)))
    return Size(
        file_bytes=sum(path.stat().st_size for path in paths),
        initializer_bytes=_initializer_bytes(proto),
    )


def written_size(proto: onnx.ModelProto, path: Path | str) -> Size:
    """Weigh a model that was just written, without reading it again.

    Args:
        proto: What was written.
        path: The one file that it was written to.
    """
    return Size(file_bytes=Path(path).stat().st_size, initializer_bytes=_initializer_bytes(proto))


def count_parameters(proto: onnx.ModelProto) -> int:
    """Return the number of elements of all initializers, those of subgraphs included."""
    return sum(math.prod(tensor.dims) for tensor in _initializers(proto.graph))


def _initializer_bytes(proto: onnx.ModelProto) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for tensor in _initializers(proto.graph):
        name = dtype_name(tensor.data_type)
        if tensor.data_type == onnx.TensorProto.STRING:
            sizes[name] += sum(map(len, tensor.string_data))
        else:
            sizes[name] += -(-math.prod(tensor.dims) * _bits(tensor.data_type) // 8)
    return dict(sorted(sizes.items()))


def _bits(data_type: int) -> int:
    packed = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2}
    name = dtype_name(data_type)
    return packed.get(name) or onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize * 8


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in walk_nodes(graph):
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                yield from subgraph.initializer


def _stored_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from _initializers(graph)
    for node in walk_nodes(graph):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t


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


def dtype_name(elem_type: int) -> str:
    """Return an element type's name, such as ``float32``, ``int8`` or ``uint4``."""
    name = onnx.TensorProto.DataType.Name(elem_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _dtype(value: onnx.ValueInfoProto) -> DType:
    elem_type = value.type.tensor_type.elem_type
    name = dtype_name(elem_type)
    for dtype in DTYPES:
        if dtype == name:
            return dtype
    message = f"{value.name!r} is of type {name}, which onnxq cannot feed."
    raise SourceError(message, code="OQ111", hint="Cast it outside the model, to float32 or int64.")


def _sha256(paths: tuple[Path, ...]) -> str:
    """Digest one file, or the digests of several; one file's digest is what others compute."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
