"""What to do about a quantized model that onnxruntime does not load."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from onnxq.errors import ModelLoadError


@contextmanager
def advising_repair(given: str, quantized: str) -> Iterator[None]:
    """Name ``onnxq repair`` where a model that is quantized already cannot be loaded.

    Those of other tools may be valid and make onnxruntime fail all the same: of its own fusions,
    or of what it has no kernel for. That is what a repair undoes.

    Args:
        given: The model as the user named it.
        quantized: How it is quantized; empty where it is not.

    Yields:
        While the model is loaded.

    Raises:
        ModelLoadError: What the body raised, with such a hint.
    """
    try:
        yield
    except ModelLoadError as error:
        if quantized:
            error.hint = f"It may be mended:  onnxq repair {shlex.quote(given)}"
        raise
