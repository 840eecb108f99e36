"""Whether scopes speak of a model's nodes, told before anything is done with them."""

from collections.abc import Iterable
from pathlib import Path

from onnxq.errors import RecipeError
from onnxq.events import tell_nobody
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import check_scope
from onnxq.models import OnnxModel
from onnxq.scopes import QuantizationScope
from onnxq.stages import PrepareRequest


def check_scopes(model: OnnxModel, scopes: Iterable[QuantizationScope], folder: Path) -> None:
    """Refuse scopes that speak of nothing in a model that is not prepared yet.

    Scopes speak of the prepared model, in which nodes are fused and named. Preparing costs seconds,
    so it is done only where something is not found in the model as it was given.

    Args:
        model: A float model.
        scopes: The wishes.
        folder: Takes the prepared model, where it is needed.

    Raises:
        RecipeError: OQ164, with near misses.
        OnnxqError: What preparing the model raises.
    """
    wanted = tuple(scopes)
    try:
        _check_all(model, wanted)
    except RecipeError:
        from onnxq.preparation import prepare  # noqa: PLC0415 - heavy, and seldom needed

        _check_all(prepare(PrepareRequest(model=model), folder, tell_nobody).model, wanted)


def _check_all(model: OnnxModel, scopes: Iterable[QuantizationScope]) -> None:
    proto = load_proto(model.path)
    for scope in scopes:
        check_scope(proto, scope)
