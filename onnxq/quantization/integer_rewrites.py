"""Rewrites of a graph that was just quantized: stems, tables, whatever pays between pairs."""

from dataclasses import dataclass

from onnx import ModelProto

from onnxq.findings import Finding
from onnxq.graph.rewrite_remarks import remark_unmatched
from onnxq.graph.rewrites import FOR_INTEGERS, describe_rewrite
from onnxq.tunings import Tuning


@dataclass(frozen=True)
class IntegerRewrites:
    """What the rewrites made of a quantized model.

    Attributes:
        proto: The model.
        findings: OQ116 for each that changed something and that a reader should know.
    """

    proto: ModelProto
    findings: tuple[Finding, ...]


def rewrite_integers(proto: ModelProto, tuning: Tuning) -> IntegerRewrites:
    """Let each rewrite for quantized graphs at a model.

    Args:
        proto: With QuantizeLinear and DequantizeLinear pairs; not changed.
        tuning: For which CPU, with which rewrites.

    Returns:
        The model, the one that was given where nothing matched.
    """
    findings: list[Finding] = []
    taken: set[str] = set()
    for rewrite in FOR_INTEGERS:
        if not rewrite.is_taken(tuning):
            continue
        rewritten = rewrite.apply(proto)
        proto = rewritten.proto
        if rewritten.subjects:
            taken.add(rewrite.name)
        if rewritten.subjects and rewrite.note:
            findings.append(describe_rewrite(rewrite.name, rewrite.note, rewritten.subjects))
    findings += remark_unmatched(FOR_INTEGERS, taken, tuning)
    return IntegerRewrites(proto, tuple(findings))
