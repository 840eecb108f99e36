"""Execution providers: who runs a model on a CPU, under the names that users give them.

Which of them an onnxruntime has depends on the wheel that it came from; one wheel at a time can
be installed.
"""

import difflib

from onnxq.errors import UsageError

DEFAULT_PROVIDER = "cpu"

PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
"""onnxruntime's names, by ours."""

_SOURCES = {
    "openvino": (
        "pip uninstall -y onnxruntime && pip install onnxruntime-openvino, in an environment of "
        "its own"
    ),
    "dnnl": "no wheel has it, build onnxruntime with --use_dnnl",
    "xnnpack": "no wheel has it, build onnxruntime with --use_xnnpack",
}


def parse_provider(text: str) -> str:
    """Check the name of a provider.

    Args:
        text: What the user typed.

    Returns:
        The same, in lower case.

    Raises:
        UsageError: If there is none of this name (OQ100).
    """
    name = text.lower()
    if name not in PROVIDERS:
        near = difflib.get_close_matches(name, PROVIDERS, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        message = f"there is no provider {text!r} that runs on CPUs."
        raise UsageError(message, code="OQ100", hint=f"{guess}Providers: {', '.join(PROVIDERS)}.")
    return name


def why_missing(name: str) -> str:
    """Say in one line where a provider comes from that this onnxruntime does not have.

    Two onnxruntimes must not be installed side by side: they are one package of two
    distributions, which overwrite each other's files.
    """
    source = _SOURCES.get(name, "pip install --force-reinstall onnxruntime")
    return f"this onnxruntime does not have it: {source}"
