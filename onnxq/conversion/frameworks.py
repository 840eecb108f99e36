"""Which framework a live object belongs to, told without importing any."""

import sys
from typing import Literal, TypeAlias

from onnxq.conversion.keras_models import is_keras_model

ModelFramework: TypeAlias = Literal["keras", "keras2", "torch", "none"]
"""``keras2`` stands for models of the package ``tf_keras``."""


def framework_of(value: object) -> ModelFramework:
    """Tell which framework's model a value is.

    Args:
        value: Anything, such as what a user's factory returned.

    Returns:
        ``keras`` for models of Keras 3 on any backend (on PyTorch they are modules as well),
        ``keras2`` for those of Keras 2, ``torch`` for modules, TorchScript and programs of
        ``torch.export``, else ``none``. A framework that is not loaded has no live models.
    """
    if is_keras_model(value):
        return "keras"
    if any(kind.__module__.startswith("tf_keras.") for kind in type(value).__mro__):
        return "keras2"
    torch = sys.modules.get("torch")
    if torch is None:
        return "none"
    if isinstance(value, torch.nn.Module | torch.export.ExportedProgram):
        return "torch"
    return "none"
