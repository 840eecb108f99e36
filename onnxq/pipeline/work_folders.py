"""The private folder of a verb, and what of the user's must outlive it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.datasets.values import DataRequest
from onnxq.pipeline.plans import Given
from onnxq.pipeline.private_copies import given_files
from onnxq.stages import NoDataRequest


def kept_files(given: Given, *data: DataRequest | NoDataRequest) -> tuple[Path, ...]:
    """Return what the user gave: an output folder that holds it is never replaced."""
    requests = [one for one in data if isinstance(one, DataRequest)]
    named = [text for one in requests for text in (one.spec, one.classes) if text]
    return (*given_files(given.source), *map(Path, named))


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give a private folder, which is gone afterwards however the body ends."""
    folder = Path(tempfile.mkdtemp(prefix="onnxq-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
