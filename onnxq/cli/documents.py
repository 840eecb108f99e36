"""What ``--json`` prints beside reports: one document, tagged by its kind."""

import msgspec


def tagged_json(kind: str, value: msgspec.Struct) -> bytes:
    """Encode a value, indented, its kind first, with a newline at the end."""
    fields = {"kind": kind, **msgspec.to_builtins(value)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
