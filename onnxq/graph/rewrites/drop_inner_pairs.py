"""A pair between an operator and its Relu or Clip goes: the pair behind that one stays.

Pattern: ``X -> QuantizeLinear -> DequantizeLinear -> Relu or Clip -> QuantizeLinear``, nothing
else reading in between, the rectifier bounded by 0 from below. Replacement: ``X -> Relu or Clip ->
QuantizeLinear``. Approximate: what was rounded twice is rounded once. Why: AIMET, PyTorch and
symmetric activations of onnxruntime put a pair on both sides, so that the rectifier runs by itself:
35 Clip nodes on MobileNetV2 between Q and DQ.
"""

from onnx import ModelProto, NodeProto

from onnxq.graph.edits import copy_of
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Pairs, index_pairs
from onnxq.graph.rewrites.absorb_rectifiers import RECTIFIERS, rectifier_bounds
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def drop_inner_pairs(proto: ModelProto) -> Rewritten:
    """Drop pairs of the top graph in front of a Relu or Clip that has one behind it.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the tensors that are no longer quantized.
    """
    copy, subjects = copy_of(proto), list[str]()
    pairs = index_pairs(copy.graph)
    for node in list(copy.graph.node):
        quantizer = _inner(node, pairs)
        if quantizer is None:
            continue
        copy.graph.node.remove(pairs.producers[node.input[0]])
        node.input[0] = quantizer.input[0]
        copy.graph.node.remove(quantizer)
        subjects.append(node.input[0])
        pairs = index_pairs(copy.graph)
    return Rewritten(copy if subjects else proto, tuple(subjects))


def _inner(node: NodeProto, pairs: Pairs) -> NodeProto | None:
    """Return the QuantizeLinear of the pair in front of a rectifier, if it can go."""
    if node.op_type not in RECTIFIERS or node.output[0] in pairs.kept:
        return None
    readers = pairs.readers(node.output[0])
    if not readers or any(reader.op_type != QUANTIZE for reader in readers):
        return None
    if rectifier_bounds(node, pairs)[0] != 0:  # else the pair behind it would not absorb it
        return None
    dequantizer = pairs.producer(node.input[0], DEQUANTIZE)
    quantizer = None if dequantizer is None else pairs.producer(dequantizer.input[0], QUANTIZE)
    if dequantizer is None or quantizer is None or quantizer.input[0] not in pairs.producers:
        return None
    between = (dequantizer.output[0], quantizer.output[0])
    alone = all(len(pairs.readers(n)) == 1 and n not in pairs.kept for n in between)
    is_fused = len(pairs.readers(quantizer.input[0])) == 1
    return quantizer if alone and is_fused else None


DROP_INNER_PAIRS = Rewrite(
    "drop inner pairs",
    "approximate",
    "what was rounded in front of a Relu or Clip and behind it is rounded behind it alone",
    drop_inner_pairs,
    why="a Relu or Clip with a pair on both sides runs by itself: 35 of them on MobileNetV2",
)
