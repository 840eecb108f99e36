"""Rows of text for the models in this folder: ``--data models/text.py:sst2_test``.

A text becomes 32 numbers without a list of words: each word's number is a hash of its letters
("feature hashing", K. Weinberger et al., ICML 2009). Words that share a number are not told apart,
and the embeddings stay small. A model's rows must be made with its own count of numbers.

The texts are not part of this project: they are read from the folder ``../shared`` beside it, or
from the one that ``ONNXQ_SHARED`` names. SST-2: R. Socher et al., "Recursive Deep Models", EMNLP
2013, no licence stated. banking77: I. Casanueva et al., "Efficient Intent Detection with Dual
Sentence Encoders", 2020, CC BY 4.0.
"""

import csv
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TOKENS = 32
"""Numbers of one text; 0 fills the left of a shorter one, and a longer one loses its end."""

SST2_VOCABULARY = 4096
BANKING77_VOCABULARY = 2048

_PROJECT = Path(__file__).resolve().parents[1]
_WORD = re.compile(r"[a-z0-9']+")


def encode(texts: Sequence[str], vocabulary: int) -> NDArray[np.int64]:
    """Turn texts into the numbers that a model takes.

    Padding stands on the left, so that a recurrent network ends on the last word.

    Args:
        texts: Any text; letters other than a to z separate words.
        vocabulary: How many numbers there are, 0 among them.

    Returns:
        ``[len(texts), 32]``, each from 0 (padding) to ``vocabulary - 1``.
    """
    rows = np.zeros((len(texts), TOKENS), np.int64)
    for row, text in zip(rows, texts, strict=True):
        words = _WORD.findall(text.lower())[:TOKENS]
        # crc32 is the same everywhere; Python's own hash changes with each process.
        numbers = [1 + zlib.crc32(word.encode()) % (vocabulary - 1) for word in words]
        row[TOKENS - len(numbers) :] = numbers
    return rows


def sst2_rows(part: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Load sentences of film reviews.

    Args:
        part: ``train`` (6920 rows), ``dev`` (872) or ``test`` (1821).

    Returns:
        Tokens ``[rows, 32]`` and labels ``[rows]``: 0 negative, 1 positive.
    """
    lines = (data_folder() / "sst2" / f"{part}.tsv").read_text("utf-8").splitlines()
    texts, labels = zip(*(line.rsplit("\t", 1) for line in lines), strict=True)
    return encode(texts, SST2_VOCABULARY), np.asarray(labels, np.int64)


def banking77_rows(part: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Load questions to a bank.

    Args:
        part: ``train`` (10 003 rows) or ``test`` (3080).

    Returns:
        Tokens ``[rows, 32]`` and intents ``[rows]``, 0 to 76 in alphabetical order.
    """
    path = data_folder() / "banking77" / f"{part}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    categories = [row["category"] for row in rows]
    labels = np.unique(categories, return_inverse=True)[1]
    return encode([row["text"] for row in rows], BANKING77_VOCABULARY), labels.astype(np.int64)


def sst2_test() -> dict[str, NDArray[np.int64]]:
    """Load SST-2's test part, as ``--data`` takes it: ``tokens`` ``[1821, 32]`` and ``y``."""
    return _named(*sst2_rows("test"))


def sst2_validation() -> dict[str, NDArray[np.int64]]:
    """Load SST-2's validation part, as ``--calib`` takes it: ``tokens`` ``[872, 32]``, ``y``."""
    return _named(*sst2_rows("dev"))


def banking77_test() -> dict[str, NDArray[np.int64]]:
    """Load banking77's test part, as ``--data`` takes it: ``tokens`` ``[3080, 32]`` and ``y``."""
    return _named(*banking77_rows("test"))


def banking77_calibration() -> dict[str, NDArray[np.int64]]:
    """Load every 39th training row, as ``--calib`` takes them: ``tokens`` ``[257, 32]``, ``y``.

    The file is sorted by intent: a step meets them all, the first rows would not.
    """
    tokens, intents = banking77_rows("train")
    return _named(tokens[::39], intents[::39])


def data_folder() -> Path:
    """Say where the texts lie, whether they are there or not."""
    return Path(os.environ.get("ONNXQ_SHARED", _PROJECT.parent / "shared")) / "data"


def _named(tokens: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    return {"tokens": tokens, "y": labels}
