"""Labels that are text: names become classes, by a list of them or in sorted order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import DatasetError
from onnxq.findings import Finding

_MOST_SHOWN = 4


@dataclass(frozen=True)
class NumberedTexts:
    """Text labels as classes.

    Attributes:
        values: int64 ``[rows]``.
        class_names: What was numbered in sorted order; empty where numbers were given.
        findings: How they were numbered.
    """

    values: Array
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]


def number_texts(
    texts: Array, indices: Array, number_of: Callable[[str], int] | None, title: str
) -> NumberedTexts:
    """Number text labels.

    Numbers in text are classes as they stand; names are looked up, or numbered in sorted order
    as scikit-learn's ``LabelEncoder`` and the loaders of image folders do.

    Args:
        texts: Of all rows, so that a choice of rows changes no number; ``[rows]``, ``[rows, 1]``.
        indices: Of the rows that are used.
        number_of: Number of a class by its name; None numbers names in sorted order.
        title: The data, for messages.

    Returns:
        The classes of the rows that are used.

    Raises:
        DatasetError: OQ125, if a label is empty, unknown, or there is not one a row.
    """
    if texts.size != len(texts):
        message = f"the labels in {title} are text {list(texts.shape)}: expected one a row."
        raise DatasetError(message, code="OQ125", hint="Give the name of one class for each row.")
    names, inverse = np.unique(_stripped(texts.reshape(-1)), return_inverse=True)
    if not names[0]:
        row = int(np.argmin(inverse))
        message = f"row {row} in {title} has no label."
        raise DatasetError(message, code="OQ125", hint="Label every row, or leave such rows out.")
    found = tuple(map(str, names))
    if number_of is not None:
        numbers = np.array([number_of(name) for name in found], np.int64)
        return NumberedTexts(numbers[inverse][indices], (), ())
    if all(name.isascii() and name.isdigit() for name in found):
        message = "Labels are text, and all of it numbers: they are the classes."
        finding = Finding(code="OQ130", subject=title, message=message)
        numbers = np.array([int(name) for name in found], np.int64)
        return NumberedTexts(numbers[inverse][indices], (), (finding,))
    finding = _sorted_note(found, title)
    return NumberedTexts(inverse[indices].astype(np.int64), found, (finding,))


def _stripped(texts: Array) -> Array:
    if texts.dtype.kind == "S":
        texts = np.char.decode(texts, "utf-8", "replace")
    return np.char.strip(texts)


def _sorted_note(names: tuple[str, ...], title: str) -> Finding:
    shown = ", ".join(f"{name!r} is {number}" for number, name in enumerate(names[:_MOST_SHOWN]))
    more = ", …" if len(names) > _MOST_SHOWN else ""
    return Finding(
        code="OQ130",
        subject=title,
        message=f"Labels are text: {len(names)} classes were numbered in sorted order: "
        f"{shown}{more}.",
        fix="If the model numbers them otherwise:  --classes FILE  with lines INDEX=NAME",
    )
