"""Keras models whose inputs only the user knows: subclassed, or never called."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from onnxq.conversion.from_keras_package import keras, said
from onnxq.errors import SourceError
from onnxq.sources import InputDeclaration, render_input

_DECLARE = """\
Declare the inputs, the batch as N:  --input x:Nx28x28x1
or give the model its input where it is made:  model.build((None, 28, 28, 1))"""


def with_known_inputs(
    model: keras.Model, declared: tuple[InputDeclaration, ...], given: str
) -> keras.Model:
    """Return a model that knows its inputs.

    Args:
        model: Any; left as it is where it knows them.
        declared: The inputs, in the order in which the model's ``call`` takes them.
        given: What the user calls the model, for messages.

    Returns:
        The model, or a functional model that calls it on inputs of the declared names.

    Raises:
        SourceError: If it does not know them and none are declared, or it cannot be called on
            those (OQ112).
    """
    if getattr(model, "inputs", None):
        return model
    if not declared:
        message = f"{given} declares no inputs: the model was never built or called."
        raise SourceError(message, code="OQ112", hint=_DECLARE)
    tensors = {one.name: _input(one) for one in declared}
    try:
        outputs = _call(model, tensors)
    except Exception as error:  # the model's own code raises anything
        fed = "  ".join(f"--input {render_input(one)}" for one in declared)
        message = f"{given} cannot be called on {fed}: {said(error)}"
        hint = "Declare the inputs in the order and with the sizes that call takes."
        raise SourceError(message, code="OQ112", hint=hint) from error
    inputs = next(iter(tensors.values())) if len(tensors) == 1 else tensors
    return keras.Model(inputs, outputs, name=model.name)


def _input(one: InputDeclaration) -> keras.KerasTensor:
    sizes = [dim if isinstance(dim, int) else None for dim in one.shape]
    return keras.Input(batch_shape=tuple(sizes), dtype=one.dtype, name=one.name)


def _call(model: keras.Model, tensors: Mapping[str, keras.KerasTensor]) -> Any:  # noqa: ANN401 - any nest of tensors
    """Call a model as its ``call`` is written: with one tensor, by names, or with a nest."""
    if len(tensors) == 1:
        return model(*tensors.values())
    takes = inspect.signature(model.call).parameters
    if tensors.keys() <= takes.keys():
        return model(**tensors)
    try:
        with warnings.catch_warnings():  # Keras warns, and then raises what the model raised
            warnings.filterwarnings("ignore", ".* looks like it has unbuilt state", UserWarning)
            return model(dict(tensors))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):  # it takes a list
        return model(list(tensors.values()))
