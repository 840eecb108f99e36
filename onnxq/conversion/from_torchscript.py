"""TorchScript files: loaded, to be traced by :mod:`onnxq.conversion.from_torch_traced`."""

from pathlib import Path

import torch
from torch import jit

from onnxq.conversion.from_torch_failures import reason
from onnxq.conversion.from_torch_quiet import quietly
from onnxq.errors import SourceError


def load_script(path: Path) -> jit.ScriptModule:
    """Load a TorchScript file onto the CPU; this can run TorchScript code that the file holds.

    Args:
        path: Of a file that ``torch.jit.save`` wrote; whoever wrote it is trusted.

    Returns:
        The module.

    Raises:
        SourceError: If it is damaged, or needs operators that this PyTorch lacks (OQ104).
    """
    try:
        with quietly():
            module: jit.ScriptModule = jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        message = f"{path.name} cannot be loaded by torch {torch.__version__}: {reason(error)}"
        hint = "Save it again with this version of PyTorch, or export it to .onnx where it is from."
        raise SourceError(message, code="OQ104", hint=hint) from error
    return module
