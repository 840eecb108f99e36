"""What a plan refuses, as the verb that is planned would, before its model is converted."""

from collections.abc import Mapping

from onnxq.errors import RecipeError, SourceError
from onnxq.pipeline.outlooks import Outlook
from onnxq.pipeline.plans import Order
from onnxq.recipe_kinds import needs_rows
from onnxq.sources import source_path


def check_calibrated(orders: Mapping[str, Order], outlook: Outlook) -> None:
    """Refuse static recipes that were named and get no rows, as the verbs do.

    Args:
        orders: Recipes.
        outlook: What is known of the rows.

    Raises:
        RecipeError: OQ162.
    """
    static = [alias for alias, order in orders.items() if needs_rows(order.recipe)]
    if static and not outlook.found.calibration_rows:
        message = f"recipe {static[0]!r} needs rows to calibrate on, and there are none."
        hint = "Give rows, or take a recipe without: -r int8-dynamic."
        raise RecipeError(message, code="OQ162", hint=hint)


def check_float(outlook: Outlook) -> None:
    """Refuse to quantize what is quantized already.

    Args:
        outlook: What is known of the model.

    Raises:
        SourceError: OQ110.
    """
    already = outlook.found.quantized_already
    if already:
        message = f"{source_path(outlook.given.source)} is quantized already ({already})."
        hint = "Give the float model that it was made from."
        raise SourceError(message, code="OQ110", hint=hint)
