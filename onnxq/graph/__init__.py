"""The door to onnx: files become values, and back."""

from onnxq.graph.model_files import (
    count_parameters,
    describe_model,
    dtype_name,
    load_graph,
    load_proto,
    model_size,
    read_model,
    read_signature,
    side_files_of,
    write_proto,
)
from onnxq.graph.nodes import default_opset, walk_nodes
from onnxq.graph.portability import (
    foreign_domains,
    lowest_ir,
    min_runtime,
    used_domains,
)

__all__ = [
    "count_parameters",
    "default_opset",
    "describe_model",
    "dtype_name",
    "foreign_domains",
    "load_graph",
    "load_proto",
    "lowest_ir",
    "min_runtime",
    "model_size",
    "read_model",
    "read_signature",
    "side_files_of",
    "used_domains",
    "walk_nodes",
    "write_proto",
]
