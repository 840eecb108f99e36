"""The rows of the user's that an export is compared on."""

from onnxq.arrays import Array
from onnxq.datasets.loading import load_probe_rows
from onnxq.datasets.values import DataRequest
from onnxq.stages import ConvertRequest
from onnxq.tensors import Signature

_PROBE_ROWS = 8


def probe_rows(request: ConvertRequest, signature: Signature) -> dict[str, Array]:
    """Load the rows that an export is compared on.

    Args:
        request: What was asked for.
        signature: Of the export.

    Returns:
        An array by each input's name, axis 0 being rows; none where no rows were given.
    """
    if not isinstance(request.data, DataRequest):
        return {}
    return load_probe_rows(
        request.data,
        signature,
        count_rows=_PROBE_ROWS,
        declared=request.declared,
        trusted_folders=request.trusted_folders,
    )
