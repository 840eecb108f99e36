"""In which dtype a Keras model computes, and how far its export may therefore be from it."""

from onnxq.conversion.from_keras_package import keras
from onnxq.conversion.tolerances import Tolerance, tolerance_of


def compute_tolerance(model: keras.Model) -> Tolerance:
    """Return the tolerance that a model's coarsest compute dtype asks for.

    Args:
        model: Such as one built under the policy ``mixed_float16``.

    Returns:
        The usual one, unless a layer computes in float16 or bfloat16.
    """
    return tolerance_of(layer.compute_dtype for layer in model._flatten_layers())  # noqa: SLF001 - Keras has no public way into nested layers
