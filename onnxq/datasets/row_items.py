"""What user code hands over, taken apart: arrays by name, the labels among them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from onnxq.datasets.foreign_arrays import is_array
from onnxq.datasets.matching import LABEL_KEY, LABEL_NAMES
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec
from onnxq.user_code import UserCode, failures_said
from onnxq.wording import with_article

ROWS = "rows"
"""What an array is called that nothing named."""
_PAIR = 2

Parts: TypeAlias = dict[str, object]


@runtime_checkable
class Indexed(Protocol):
    """Items by their index, as lists and PyTorch's map-style datasets hold them."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> object: ...


@dataclass(frozen=True)
class Names:
    """What arrays are called.

    Attributes:
        inputs: Of the model, in order; empty if they are not known.
        mapping: Array name by input name, as ``--map`` gives it.
    """

    inputs: tuple[str, ...]
    mapping: dict[str, str]

    @property
    def label(self) -> str:
        """What the second of a pair is called: a name that no input has."""
        if LABEL_KEY in self.mapping and LABEL_KEY not in self.inputs:
            return self.mapping[LABEL_KEY]
        names = (LABEL_KEY, *sorted(LABEL_NAMES))
        return next(name for name in names if name not in self.inputs)

    def is_label(self, name: str) -> bool:
        """Whether an array of this name holds labels."""
        if LABEL_KEY in self.mapping and LABEL_KEY not in self.inputs:
            return name == self.mapping[LABEL_KEY]
        used = {*self.inputs, *self.mapping.values()}
        return name.lower() in LABEL_NAMES and name not in used

    def array_of(self, name: str) -> str:
        """Return which array feeds an input."""
        return self.mapping.get(name, name)


def names_of(inputs: tuple[TensorSpec, ...], mapping: dict[str, str]) -> Names:
    """Return what arrays are called for a model's inputs."""
    return Names(tuple(spec.name for spec in inputs), mapping)


def is_whole(given: object) -> bool:
    """Whether a value holds all rows at once, and is no series of items."""
    return isinstance(given, Mapping | tuple) or is_tensor(given)


def take_apart(item: object, names: Names, code: UserCode) -> Parts:
    """Take an item apart: a dict by name, a pair ``(x, y)``, or ``x`` alone.

    Args:
        item: All rows, a batch, or a row.
        names: What arrays are called.
        code: Where it comes from, for messages.

    Returns:
        Arrays of whatever framework by name; those in a tuple ``x`` get the inputs' names in
        order.

    Raises:
        DatasetError: OQ106, if it is nothing of that.
    """
    if isinstance(item, Mapping):
        return {str(name): value for name, value in item.items()}
    if isinstance(item, tuple) and not 1 <= len(item) <= _PAIR:
        found = f"a tuple of {len(item)}"
        raise _unusable(code, found)
    if isinstance(item, tuple) or (isinstance(item, list) and _is_pair(item)):
        first, *rest = item
        labels: Parts = {names.label: rest[0]} if rest and rest[0] is not None else {}
        if isinstance(next(iter(labels.values()), 0), Mapping):
            found = "labels that are a dict"
            raise _unusable(code, found)
        return {**_inputs(first, names), **labels}
    if item is None or isinstance(item, str | bytes):
        raise _unusable(code, with_article(item))
    return _inputs(item, names)


def stream(given: object, code: UserCode) -> Iterator[object]:
    """Yield the items of an iterable; what the user's code raises is said with its line.

    Raises:
        DatasetError: OQ106, if it is no iterable, or fails.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable | Indexed):
        raise _unusable(code, with_article(given))
    with failures_said(code):
        items = iter(given)
    while True:
        with failures_said(code):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def _inputs(value: object, names: Names) -> Parts:
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if isinstance(value, tuple | list) and any(is_tensor(part) for part in value):
        known = tuple(map(names.array_of, names.inputs))
        if len(known) != len(value):
            known = tuple(f"input_{index}" for index in range(len(value)))
        return dict(zip(known, value, strict=True))
    return {ROWS: value}


def _is_pair(item: list[object]) -> bool:
    """Whether a list is a pair, as PyTorch's DataLoader makes one of each ``(x, y)``."""
    is_array_like = (is_tensor(part) or isinstance(part, Mapping) for part in item)
    return len(item) == _PAIR and any(is_array_like)


def is_tensor(value: object) -> bool:
    """Whether a value is an array with axes, and no number or text of Python's own."""
    return is_array(value) and not isinstance(value, bool | int | float | complex | str | bytes)


def _unusable(code: UserCode, found: str) -> DatasetError:
    message = f"{code.given} gave {found}, expected {code.wanted}."
    return DatasetError(message, code="OQ106", hint=code.hint)
