"""The private folder of a verb, and what of the user's must outlive it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.datasets.values import DataRequest
from onnxq.isolation.commit import remove_afterwards
from onnxq.pipeline.plans import Destination, Given
from onnxq.pipeline.private_copies import given_files, named_files
from onnxq.stages import NoDataRequest


def kept_files(
    out: Destination, given: Given, *data: DataRequest | NoDataRequest
) -> tuple[Path, ...]:
    """Return what the user gave: an output folder that holds it is never replaced.

    Args:
        out: Knows what was named beside the model and the rows.
        given: The model.
        data: The rows.

    Returns:
        Files and folders.
    """
    requests = [one for one in data if isinstance(one, DataRequest)]
    named = [
        path for one in requests for text in (one.spec, one.classes) for path in named_files(text)
    ]
    return (*out.kept, *given_files(given.source), *named)


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give a private folder, which is gone afterwards however the body ends."""
    folder = Path(tempfile.mkdtemp(prefix="onnxq-"))
    with remove_afterwards(folder):
        yield folder
