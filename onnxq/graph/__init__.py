"""The door to onnx: files become values, and back."""

from onnxq.graph.model_files import (
    default_opset,
    describe_model,
    load_proto,
    read_model,
    read_signature,
    walk_nodes,
    write_proto,
)

__all__ = [
    "default_opset",
    "describe_model",
    "load_proto",
    "read_model",
    "read_signature",
    "walk_nodes",
    "write_proto",
]
