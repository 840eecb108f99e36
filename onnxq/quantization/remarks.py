"""What a reader of the report should know of every model that a recipe makes."""

from onnxq.findings import Finding
from onnxq.recipe_facts import describe_recipe
from onnxq.recipe_kinds import Float16, Recipe, StaticQdq, WeightOnly, alias_of

_SPARSE_SHARE = 0.05


def describe_speed(recipe: Recipe) -> tuple[Finding, ...]:
    """Say so where a recipe is not about time.

    Args:
        recipe: Any recipe.

    Returns:
        One OQ168, or nothing.
    """
    slow = isinstance(recipe, StaticQdq) and recipe.activation == "int16"
    if not slow and not isinstance(recipe, Float16 | WeightOnly):
        return ()
    speed = describe_recipe(recipe).speed
    message = f"{speed[0].upper()}{speed[1:]}."
    return (Finding(code="OQ168", subject=alias_of(recipe), message=message),)


def describe_zeros(before: float, after: float, alias: str) -> tuple[Finding, ...]:
    """Report how sparse the weights are, where they are.

    Args:
        before: Share of the float model's weights that is exactly zero, 0 to 1.
        after: The same of the quantized model.
        alias: What people call the recipe.

    Returns:
        One OQ170 from 5 % on, or nothing.
    """
    if before < _SPARSE_SHARE:
        return ()
    message = (
        f"{before:.1%} of the weights are exactly zero in the float model, {after:.1%} in this "
        "one: zeros stay zeros."
    )
    evidence: dict[str, str | int | float] = {"before": before, "after": after}
    return (Finding(code="OQ170", subject=alias, message=message, evidence=evidence),)
