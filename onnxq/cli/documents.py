"""What ``--json`` prints beside reports: one document, tagged by its kind."""

from collections.abc import Sequence

import msgspec


def tagged_json(kind: str, value: msgspec.Struct) -> bytes:
    """Encode a value, indented, its kind first, with a newline at the end."""
    return _encoded({"kind": kind, **msgspec.to_builtins(value)})


def tagged_list_json(kind: str, values: Sequence[msgspec.Struct]) -> bytes:
    """Encode values as one document that holds them under the name of its kind."""
    return _encoded({"kind": kind, kind: msgspec.to_builtins(values)})


def _encoded(fields: dict[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
