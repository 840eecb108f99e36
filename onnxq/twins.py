"""Candidates that came out as the same file: the second answers nothing that the first does not."""

from collections.abc import Mapping

from onnxq.findings import Finding


def find_twins(sha256s: Mapping[str, str]) -> tuple[Finding, ...]:
    """Say which candidates are the same file, byte by byte.

    Args:
        sha256s: Digest of each candidate's file, by its alias, in the order of the report.

    Returns:
        One OQ165 for each file that several candidates share.
    """
    by_digest: dict[str, list[str]] = {}
    for alias, digest in sha256s.items():
        by_digest.setdefault(digest, []).append(alias)
    return tuple(
        Finding(
            code="OQ165",
            subject=aliases[0],
            message=(
                f"{' and '.join(aliases)} are the same file, byte by byte: what sets these "
                "recipes apart changes nothing in this model."
            ),
            evidence={"sha256": digest, "candidates": len(aliases)},
            fix=f"Leave out all but one: -r {aliases[0]}",
        )
        for digest, aliases in by_digest.items()
        if len(aliases) > 1
    )
