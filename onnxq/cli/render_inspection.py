"""What a model is, as text: signature, operators, how each tensor is quantized."""

from rich.text import Text

from onnxq.cli.cells import NOT_MEASURED, size_text
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.render_parts import draw, fit, table, words
from onnxq.cli.screen import Screen
from onnxq.stages import InspectResult, QuantizedTensor
from onnxq.tensors import TensorSpec
from onnxq.wording import count_noun

_NAME = 28
_SHOWN = 40
_RANK_SCHEME, _RANK_ZERO_POINT = 1, 2


def render_inspection(
    found: InspectResult, given: str, screen: Screen, *, everything: bool = False
) -> str:
    """Draw what was found out about a model.

    Args:
        found: What was found out.
        given: The model as the user named it.
        screen: Where it will be shown.
        everything: Show every quantized tensor, not the first 40 alone.

    Returns:
        The text, with a line feed at the end.
    """
    quantized = _quantized_part(
        found.quantized, screen, len(found.quantized) if everything else _SHOWN
    )
    return draw(screen, [*_head(found, given, screen), *quantized])


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


def _columns(tensors: tuple[QuantizedTensor, ...]) -> tuple[Column, ...]:
    return (
        Column(
            title=("tensor",),
            cells=tuple(Cell(t.name) for t in tensors),
            numbers=False,
            crop_to=_NAME,
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
