"""Finding the float model beside a quantized one, in a folder that onnxq wrote."""

from pathlib import Path

import msgspec
from msgspec import Struct

from onnxq.isolation.ownership import REPORT_FILE
from onnxq.recipe_kinds import Float32, alias_of

_MOST_REPORT_BYTES = 64 * 2**20


class _File(Struct, frozen=True):
    file: str = ""


class _Row(Struct, frozen=True):
    alias: str = ""
    artefact: _File = _File()


class _Document(Struct, frozen=True):
    """What any of our documents says of its files."""

    variants: tuple[_Row, ...] = ()


def find_float_twin(model: Path | str) -> str:
    """Find the fp32 model that a quantized one was made from, by the report beside it.

    Args:
        model: Any ``.onnx`` file.

    Returns:
        The path of ``<stem>.fp32.onnx`` where ``report.json`` in the same folder lists it beside
        the model; empty where it does not, or where the model is that file.
    """
    path = Path(model)
    report = path.parent / REPORT_FILE
    try:
        if report.stat().st_size > _MOST_REPORT_BYTES:
            return ""
        rows = msgspec.json.decode(report.read_bytes(), type=_Document).variants
    except (OSError, msgspec.DecodeError):  # no folder of ours: nothing is known
        return ""
    files = {row.artefact.file: row.alias for row in rows}
    if path.name not in files or files[path.name] == alias_of(Float32()):
        return ""
    twins = [name for name, alias in files.items() if alias == alias_of(Float32())]
    found = [path.parent / name for name in twins if name == Path(name).name]
    return next((str(twin) for twin in found if twin.is_file()), "")
