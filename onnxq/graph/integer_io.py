"""Where a model says which of its inputs and outputs are integers standing for real numbers."""

import msgspec
from onnx import ModelProto

from onnxq.integer_tensors import IntegerTensor

_KEY = "onnxq.io"


def write_integer_io(proto: ModelProto, io: tuple[IntegerTensor, ...]) -> None:
    """Write scales and zero points of integer inputs and outputs into a model's metadata.

    Args:
        proto: Of one's own; its property ``onnxq.io`` is replaced.
        io: What to write, as JSON.
    """
    others = [entry for entry in proto.metadata_props if entry.key != _KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(others)
    proto.metadata_props.add(key=_KEY, value=msgspec.json.encode(io).decode())


def read_integer_io(proto: ModelProto) -> tuple[IntegerTensor, ...]:
    """Read what :func:`write_integer_io` wrote.

    Args:
        proto: Any model.

    Returns:
        Its integer inputs and outputs; nothing where none are told, or not in our words.
    """
    told = next((entry.value for entry in proto.metadata_props if entry.key == _KEY), "[]")
    try:
        return msgspec.json.decode(told, type=tuple[IntegerTensor, ...])
    except msgspec.DecodeError:
        return ()
