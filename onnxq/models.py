"""An ONNX model on disk: a plain value."""

from msgspec import Struct

from onnxq.tensors import Signature


class OnnxModel(Struct, frozen=True, kw_only=True):
    """A file that was read and checked. Its files are never overwritten.

    Attributes:
        path: The ``.onnx`` file.
        side_files: Paths of external data files beside it.
        signature: Inputs and outputs.
        opset: Version of the default operator set.
        ir_version: Of the file format.
        operators: How often each operator occurs, by name; subgraphs included.
        quantized_nodes: Nodes that are already part of a quantized computation
            (QuantizeLinear, QLinearConv, ConvInteger, MatMulNBits, …).
        min_runtime: Lowest version of onnxruntime that can load it, by its opset, IR and domains.
        sha256: Of the file and its side files.
    """

    path: str
    signature: Signature
    opset: int
    ir_version: int
    operators: dict[str, int]
    sha256: str
    side_files: tuple[str, ...] = ()
    quantized_nodes: int = 0
    min_runtime: str = ""
