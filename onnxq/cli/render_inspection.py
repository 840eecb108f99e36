"""What a model is, as text: signature, operators, quantized tensors, whether rows fit."""

import textwrap

from rich.text import Text

from onnxq.cli.cells import NOT_MEASURED, size_text
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.render_audit import audit_parts
from onnxq.cli.render_parts import draw, fit, table, words
from onnxq.cli.screen import Screen
from onnxq.stages import FitAnswer, InspectResult, NamedNode, QuantizedTensor, WeightError
from onnxq.tensors import TensorSpec
from onnxq.wording import count_noun

_NAME = 28
_TENSOR = 16
_INDENT = " " * 7
_SHOWN = 40
_RANK_SCHEME, _RANK_ZERO_POINT = 1, -1


def render_inspection(
    found: InspectResult, given: str, screen: Screen, *, everything: bool = False
) -> str:
    """Draw what was found out about a model.

    Args:
        found: What was found out.
        given: The model as the user named it.
        screen: Where it will be shown.
        everything: Show every quantized tensor, not the first 40 alone, and every node.

    Returns:
        The text, with a line feed at the end.
    """
    most = len(found.quantized) if everything else _SHOWN
    parts = [
        *_head(found, given, screen),
        *_quantized_part(found.quantized, screen, most),
        *_errors_part(found, screen, most),
        *audit_parts(found.audit, found.kernels, screen, everything=everything),
        *(_nodes_part(found.nodes, screen) if everything else []),
        *_fit_part(found.data_fit, screen),
    ]
    return draw(screen, parts)


def _head(found: InspectResult, given: str, screen: Screen) -> list[Text]:
    model = found.model
    domains = ", ".join(domain or "ai.onnx" for domain in found.domains)
    size = size_text(found.size.file_bytes)
    parameters = count_noun(found.parameters, "parameter")
    facts = [
        f"opset {model.opset}, IR {model.ir_version}, domains {domains}",
        f"{size}, {parameters}: {_initializers(found)}",
        f"made by {found.producer}" if found.producer else "",
        _runtime(found),
        f"quantized {found.quantized_already}" if found.quantized_already else "",
    ]
    operators = sorted(model.operators.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(f"{name} {count}" for name, count in operators)
    return [
        Text("\n").join(
            [words(screen, given, "bold"), *(words(screen, fact) for fact in facts if fact)]
        ),
        _specs("Inputs", model.signature.inputs, screen),
        _specs("Outputs", model.signature.outputs, screen),
        words(screen, f"{count_noun(sum(model.operators.values()), 'operator')}: {counts}"),
    ]


def _runtime(found: InspectResult) -> str:
    if found.foreign_domains:
        foreign = ", ".join(found.foreign_domains)
        return f"uses operators of {foreign}, which onnxruntime does not have"
    return f"loads in onnxruntime {found.min_runtime} and later" if found.min_runtime else ""


def _initializers(found: InspectResult) -> str:
    sizes = sorted(found.size.initializer_bytes.items(), key=lambda item: -item[1])
    return ", ".join(f"{dtype} {size_text(size)}" for dtype, size in sizes) or "none"


def _specs(title: str, specs: tuple[TensorSpec, ...], screen: Screen) -> Text:
    lines = [words(screen, f"  {spec}") for spec in specs]
    return Text("\n").join([words(screen, title, "bold"), *lines])


def _quantized_part(tensors: tuple[QuantizedTensor, ...], screen: Screen, most: int) -> list[Text]:
    if not tensors:
        return [words(screen, "No tensor is quantized.")]
    title = words(screen, f"{count_noun(len(tensors), 'quantized tensor')}", "bold")
    drawn = table(screen, fit(screen, _columns(tensors[:most])))
    rest = len(tensors) - most
    more = [words(screen, f"and {rest} more: -v or --json shows them")] if rest > 0 else []
    return [Text("\n").join([title, drawn, *more])]


def _nodes_part(nodes: tuple[NamedNode, ...], screen: Screen) -> list[Text]:
    """Name every node in full: these are the words of ``--keep-float`` and of rules."""
    lines = [words(screen, f"  {node.operator}  {node.name or '(no name)'}") for node in nodes]
    return [Text("\n").join([words(screen, "Nodes", "bold"), *lines])] if lines else []


def _errors_part(found: InspectResult, screen: Screen, most: int) -> list[Text]:
    """Show the quantization error of each weight, where there was a float model to compare with."""
    if not found.reference:
        return []
    weights = [tensor for tensor in found.quantized if tensor.role == "weight"]
    compared = [(t.name, t.error) for t in weights if isinstance(t.error, WeightError)]
    title = words(screen, f"Errors of weights against {found.reference}", "bold")
    alone = len(weights) - len(compared)
    notes = [f"{count_noun(alone, 'weight')} without an original there"] if alone else []
    if len(compared) > most:
        notes.append(f"and {len(compared) - most} more: -v or --json shows them")
    drawn = [table(screen, fit(screen, _error_columns(compared[:most])))] if compared else []
    return [Text("\n").join([title, *drawn, *(words(screen, note) for note in notes)])]


def _error_columns(compared: list[tuple[str, WeightError]]) -> tuple[Column, ...]:
    def numbers(title: str, texts: list[str], rank: int = 0) -> Column:
        return Column(title=(title,), cells=tuple(map(Cell, texts)), drop_rank=rank)

    errors = [error for _, error in compared]
    return (
        Column(
            title=("weight",),
            cells=tuple(Cell(name) for name, _ in compared),
            numbers=False,
            crop_to=_NAME,
        ),
        numbers("mean |error|", [f"{error.mean_abs_error:.3g}" for error in errors]),
        numbers("in scales", [f"{error.mean_error_scales:.2f}" for error in errors]),
        numbers("largest", [f"{error.max_abs_error:.3g}" for error in errors], rank=1),
    )


def _fit_part(answers: tuple[FitAnswer, ...], screen: Screen) -> list[Text]:
    """Show what was asked about rows: yes or no, and what to do."""
    if not answers:
        return []
    lines = [words(screen, "Do the rows fit?", "bold")]
    for answer in answers:
        lines.append(words(screen, f"  {'yes' if answer.fits else 'no':3}  {answer.subject}"))
        lines += _indented(answer.text, "", screen)
        lines += _indented(answer.fix, "-> ", screen)
    return [Text("\n").join(lines)]


def _indented(text: str, mark: str, screen: Screen) -> list[Text]:
    """Return the lines of a text below an answer, each behind a mark; columns stay aligned."""
    room = screen.columns - len(_INDENT) - len(mark)
    lines = [
        part
        for line in text.split("\n")
        for part in ([line] if line.startswith(" ") else textwrap.wrap(line, max(room, 1)))
    ]
    return [
        words(screen, f"{_INDENT}{mark if place == 0 else ' ' * len(mark)}{line}")
        for place, line in enumerate(lines)
    ]


def _columns(tensors: tuple[QuantizedTensor, ...]) -> tuple[Column, ...]:
    return (
        Column(
            title=("tensor",),
            cells=tuple(Cell(t.name) for t in tensors),
            numbers=False,
            crop_to=_TENSOR,
        ),
        Column(title=("role",), cells=tuple(Cell(t.role) for t in tensors), numbers=False),
        Column(title=("dtype",), cells=tuple(Cell(t.dtype) for t in tensors), numbers=False),
        Column(
            title=("scheme",),
            cells=tuple(Cell(t.scheme) for t in tensors),
            numbers=False,
            drop_rank=_RANK_SCHEME,
        ),
        Column(title=("scales",), cells=tuple(Cell(_granularity(t)) for t in tensors)),
        Column(
            title=("scale",),
            cells=tuple(Cell(_span(t.scale_min, t.scale_max, t.scales)) for t in tensors),
        ),
        Column(
            title=("zero point",),
            cells=tuple(Cell(_span(t.zero_point_min, t.zero_point_max, t.scales)) for t in tensors),
            drop_rank=_RANK_ZERO_POINT,
        ),
    )


def _granularity(tensor: QuantizedTensor) -> str:
    if tensor.axis < 0:
        return f"{tensor.scales}" if tensor.scales else "at run time"
    return f"{tensor.scales}, axis {tensor.axis}"


def _span(low: float, high: float, scales: int) -> str:
    if not scales:
        return NOT_MEASURED
    ends = [str(end) if isinstance(end, int) else f"{end:.3g}" for end in (low, high)]
    return ends[0] if low == high else "..".join(ends)
