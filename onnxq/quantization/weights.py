"""Weight-only recipes: integer weights in the file, float inputs and outputs of every node.

* A matrix that a MatMul or Gemm multiplies by becomes ``com.microsoft.MatMulNBits``, 8 or 4 bits
  in blocks. Its ``accuracy_level`` is 4, so that the kernel may round what it reads to int8, block
  by block, while it runs: without that, onnxruntime 1.31's 8-bit kernel takes 4 times as long as
  float's, with it less.
* Every other weight becomes int8 with a scale per channel, followed by Cast and Mul, which
  onnxruntime folds at load: half-way between, a DequantizeLinear would be the natural operator,
  but onnxruntime 1.31 folds none, runs it at every inference and loses its blocked layout for the
  Conv behind it (1.6 times as long as float).
* Rows of a table are looked up as integers, and scaled then, each by its own scale.
"""

from pathlib import Path

from onnx import ModelProto

from onnxq.findings import Finding
from onnxq.graph.edits import captured_names
from onnxq.graph.integer_count import count_changed
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.editing import edit
from onnxq.quantization.finishing import (
    QuantizedModel,
    check_counted,
    finish_quantized,
    write_finished,
)
from onnxq.quantization.weight_rewrites import REWRITES, Channels
from onnxq.recipe_kinds import EVERYTHING, QuantizationScope, WeightOnly, alias_of


def quantize_weights(
    source: Path,
    destination: Path,
    recipe: WeightOnly,
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedModel:
    """Store the weights of a prepared model as integers.

    Args:
        source: A model that was prepared.
        destination: Where to write; must not exist yet.
        recipe: Width of matrices, and how many weights share a scale.
        scope: Which nodes.

    Returns:
        The model on disk, with a reason for each node whose weights stay float.

    Raises:
        QuantizationError: OQ163 if no weight takes the recipe's width; OQ172 if the result does
            not pass the gates.
        SourceError: If the source is not a whole ONNX model.
    """
    original = load_proto(source)
    proto, widths, reasons = store_weights(original, recipe, scope)
    count = count_changed(original, frozenset(widths), reasons, scope)
    check_counted(count)
    finished = finish_quantized(proto, original)
    written = write_finished(finished, original, destination, count)
    return written.noting(*_findings(recipe, widths))


def store_weights(
    original: ModelProto, recipe: WeightOnly, scope: QuantizationScope
) -> tuple[ModelProto, dict[str, int], dict[str, str]]:
    """Rewrite a model's weights.

    Args:
        original: A prepared model; not changed.
        recipe: How.
        scope: Which nodes.

    Returns:
        A copy, the width in bits by the name of each node whose weights changed, and why the
        others' did not. Nothing changes where the recipe is of 4 bits and no matrix takes them.
    """
    editor = edit(original)
    widths: dict[str, int] = {}
    reasons: dict[str, str] = {}
    channels = Channels(editor, _needed_as_floats(original, scope))
    for node in original.graph.node:
        rewrite = REWRITES.get(node.op_type)
        if rewrite is None:
            continue
        reason = why_kept_float(node, scope)
        bits, why = (0, reason) if reason else rewrite(node, channels, recipe)
        if bits:
            widths[node.name] = bits
        else:
            reasons[node.name] = why
    if recipe.bits == 4 and recipe.bits not in widths.values():  # noqa: PLR2004 - int4
        why = "it takes 8 bits, and no matrix of this model takes 4: -r int8-weights"
        return original, {}, reasons | dict.fromkeys(widths, why)
    return editor.finish(), widths, reasons


def _needed_as_floats(original: ModelProto, scope: QuantizationScope) -> frozenset[str]:
    """Name what the outputs, the bodies and the nodes that stay float read."""
    graph = original.graph
    staying = [n for n in graph.node if n.op_type not in REWRITES or why_kept_float(n, scope)]
    return frozenset(
        captured_names(graph)
        | {value.name for value in graph.output}
        | {name for node in staying for name in node.input}
    )


def _findings(recipe: WeightOnly, widths: dict[str, int]) -> list[Finding]:
    alias = alias_of(recipe)
    others = sorted(name for name, bits in widths.items() if bits != recipe.bits)
    findings = []
    if others:
        message = (
            f"{len(others)} of {len(widths)} nodes took int8 weights, because int4 has a kernel "
            f"for matrices alone: {', '.join(others[:3])}{', …' if len(others) > 3 else ''}."  # noqa: PLR2004 - three are shown
        )
        evidence: dict[str, str | int | float] = {"int8_nodes": len(others), "nodes": len(widths)}
        findings.append(Finding(code="OQ169", subject=alias, message=message, evidence=evidence))
    return findings
