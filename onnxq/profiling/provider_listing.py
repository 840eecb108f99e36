"""The stage that lists the providers that this onnxruntime has."""

from pathlib import Path

from onnxq.events import Tell
from onnxq.runtime import list_providers
from onnxq.stages import ListProvidersRequest, ListProvidersResult


def list_available(
    request: ListProvidersRequest,  # noqa: ARG001 - the signature of a stage
    folder: Path,  # noqa: ARG001 - the signature of a stage
    tell: Tell,  # noqa: ARG001 - the signature of a stage
) -> ListProvidersResult:
    """List the providers that can be used here.

    Args:
        request: Asks for nothing in particular.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        Their names.
    """
    return ListProvidersResult(providers=list_providers())
