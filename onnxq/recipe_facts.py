"""What there is to know of a recipe before it is tried: ``recipes show``, the README's table."""

from msgspec import Struct

from onnxq.errors import RecipeError
from onnxq.recipe_kinds import (
    AsRecipe,
    DynamicInt8,
    Float16,
    Float32,
    QuantizationScope,
    Quantize,
    Recipe,
    StaticQdq,
    WeightOnly,
    alias_of,
    method_tag,
    needs_rows,
    recipe_name,
)

_METHODS = {
    "minmax": "ranges that hold every calibrated value",
    "mse": "ranges of least squared error",
    "auto": "ranges of least squared error behind what reads them",
}

_SPEED = {
    "fp32": "what others are compared with",
    "fp16": "saves bytes, not time: as fast as float once it is loaded",
    "dynamic": "fast for transformers and LSTMs (2 to 3x; 1.05x where tiny); Conv stays float",
    "static-uint8": "fast for CNNs and MLPs (2 to 3.5x); tiny ones can be slower than float",
    "static-partial": "as int8, or 1.1 to 1.4x faster: CNNs that begin with few channels",
    "static-int16": "for accuracy alone: slower than float (0.3 to 0.9x), for want of kernels",
    "weights-int8": "saves bytes; matrices run at 1.1x (many rows) to 2.9x (one), tiny at 0.9x",
    "weights-int4": "saves bytes; matrices run at 0.9x (many rows) to 3.8x (one), tiny at 0.7x",
}
"""By kind, measured on x86-64 with VNNI and onnxruntime 1.31."""

_RUNTIME = {"static-int16": "1.18", "weights-int8": "1.23"}
"""opset 21 begins with 1.18; the 8-bit kernel of MatMulNBits works on all CPUs from 1.23 on."""


class RecipeFacts(Struct, frozen=True, kw_only=True):
    """What a recipe is.

    Attributes:
        name: Its derived name.
        alias: What people call it; the derived name where it has none.
        summary: What it is, as one sentence without a full stop.
        needs_rows: Whether it needs rows to calibrate on.
        speed: What to expect of its speed on a CPU, without a full stop.
        min_runtime: Lowest release of onnxruntime that runs its models, if the float model is of
            opset 20 or below; 1.17 is the oldest that was tried.
        domain: ``ai.onnx`` where its models are portable, else ``com.microsoft``.
    """

    name: str
    alias: str
    summary: str
    needs_rows: bool
    speed: str
    min_runtime: str
    domain: str


def describe_recipe(recipe: Recipe) -> RecipeFacts:
    """Tell what a recipe is, and what to expect of it.

    Args:
        recipe: Any recipe.

    Returns:
        The facts; figures of speed were measured on x86-64 with VNNI and onnxruntime 1.31.
    """
    kind = _kind(recipe)
    return RecipeFacts(
        name=recipe_name(recipe),
        alias=alias_of(recipe),
        summary=_summary(recipe),
        needs_rows=needs_rows(recipe),
        speed=_SPEED[kind],
        min_runtime=_RUNTIME.get(kind, "1.17"),
        domain="com.microsoft" if isinstance(recipe, WeightOnly) else "ai.onnx",
    )


def _kind(recipe: Recipe) -> str:
    """Return what speed and runtime depend on."""
    match recipe:
        case StaticQdq(is_partial=True, activation="uint8"):
            return "static-partial"
        case StaticQdq(activation=activation):
            return f"static-{activation}"
        case WeightOnly(bits=bits):
            return f"weights-int{bits}"
        case _:
            return recipe_name(recipe).partition("-")[0]


def _summary(recipe: Recipe) -> str:
    match recipe:
        case Float32():
            return "the model in float, cleaned up"
        case Float16():
            return "float16 weights, float32 arithmetic: half the file"
        case DynamicInt8(per_channel=per_channel):
            scales = _scales(per_channel=per_channel)
            return f"int8 weights {scales}; activations become uint8 while the model runs"
        case StaticQdq(per_channel=per_channel, activation=activation):
            scales = _scales(per_channel=per_channel)
            whole = f"{activation} activations with {_method(recipe)}, int8 weights {scales}"
            return f"{whole}; float where integers are slower" if recipe.is_partial else whole
        case WeightOnly(bits=bits, block_size=size):
            others = "others per channel" if bits == 8 else "others int8 per channel"  # noqa: PLR2004 - a byte
            matrices = f"matrices in blocks of up to {size}"
            return f"int{bits} weights: {matrices}, {others}; float arithmetic"


def _method(recipe: StaticQdq) -> str:
    tag = method_tag(recipe.ranges)
    share = tag.removeprefix("percentile")
    return _METHODS.get(tag, f"ranges that hold {share} % of the calibrated values")


def _scales(*, per_channel: bool) -> str:
    return "with a scale per channel" if per_channel else "with one scale each"


def _is_uint8(recipe: Recipe) -> bool:
    return isinstance(recipe, StaticQdq) and recipe.activation == "uint8"


def check_fits(recipe: Recipe, scope: QuantizationScope) -> None:
    """Refuse wishes that a recipe cannot have.

    Args:
        recipe: Any recipe.
        scope: What it is let at.

    Raises:
        RecipeError: OQ100 where the two contradict each other.
    """
    is_static = isinstance(recipe, StaticQdq)
    alias = alias_of(recipe)
    if scope.io != "float" and not _is_uint8(recipe):
        message = f"{alias} has no {scope.io} inputs and outputs: its activations are not uint8."
        hint = f"Use -r int8 with --io {scope.io}, or leave --io out."
        raise RecipeError(message, code="OQ100", hint=hint)
    if scope.strict and isinstance(recipe, StaticQdq) and recipe.is_partial:
        message = f"{alias} leaves nodes float on purpose, and --strict makes that an error."
        raise RecipeError(message, code="OQ100", hint="Use -r int8, or leave --strict out.")
    for number, rule in enumerate(scope.rules, start=1):
        action = rule.action
        if not isinstance(action, Quantize) or is_static:
            continue
        odd = "granularity" if action.granularity != "recipe" else ""
        odd = odd if isinstance(action.ranges, AsRecipe) else "ranges"
        if odd:
            message = f"rule {number} of {alias} asks for {odd}, which static recipes alone have."
            hint = f"Take {odd} out of rule {number}, or use a static recipe such as int8."
            raise RecipeError(message, code="OQ100", hint=hint)
    both = sorted(set(scope.operators) & set(scope.skip_operators))
    if both:
        message = f"{both[0]} is both among the operators to quantize and among those to skip."
        hint = f"Keep one of --operator {both[0]} and --skip-operator {both[0]}."
        raise RecipeError(message, code="OQ100", hint=hint)
