"""Models and the document that describes them reach the user: a folder, or one file."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from onnxq.documents import WrittenDocument, document_to_json
from onnxq.isolation.commit import check_output, check_output_file, staged_file, staged_output
from onnxq.isolation.ownership import REPORT_FILE, file_digests
from onnxq.pipeline.plans import Destination

DocumentT = TypeVar("DocumentT", bound=WrittenDocument)


def check_destination(out: Destination, kept: tuple[Path, ...]) -> None:
    """Raise, before any work is done, if nothing could or may be written there.

    Args:
        out: Where files are to go.
        kept: Files that the user gave.

    Raises:
        OutputError: If it holds files that are not ours, or cannot be written.
        UsageError: If what the user gave would be replaced.
    """
    if out.is_file:
        check_output_file(out.path, overwrite=out.overwrite, kept=kept)
    else:
        check_output(out.path, overwrite=out.overwrite, kept=kept)


def hand_over(
    out: Destination,
    models: Mapping[str, str],
    document: DocumentT,
    texts: Mapping[str, str] = {},
) -> DocumentT:
    """Write models, whole or not at all.

    Args:
        out: Where; a folder gets the document beside them, as its ``report.json``.
        models: Path of each model by the name of its file in the folder.
        document: What was done.
        texts: What else goes into a folder, by file name.

    Returns:
        The document as it was written: with the digests of a folder's files.

    Raises:
        OutputError: If that fails; nothing is left half-written then.
    """
    if out.is_file:
        with staged_file(out.path, overwrite=out.overwrite) as staging:
            shutil.copyfile(next(iter(models.values())), staging)
        return document
    with staged_output(out.path, overwrite=out.overwrite) as staging:
        for name, path in models.items():
            shutil.copyfile(path, staging / name)
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")
        written = replace(document, files=file_digests(staging))
        (staging / REPORT_FILE).write_bytes(document_to_json(written))
    return written
