"""Which array feeds which input, and which holds the labels."""

import difflib
from dataclasses import dataclass

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.layouts import fitting_layouts
from onnxq.datasets.misfits import misfit, text_hint
from onnxq.datasets.pixels import channels_last_shape
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec

LABEL_KEY = "labels"
"""What ``--map labels=ARRAY`` calls the labels."""
LABEL_NAMES = frozenset({"y", "label", "labels", "target", "targets"})
"""Names that labels have, in whatever case."""


@dataclass(frozen=True)
class Matches:
    """What the arrays of a file are for.

    Attributes:
        inputs: The array of each input, by the input's name.
        labels: The array of labels; empty where there is none.
        constants: Inputs without a batch axis whose array is what every run is fed.
    """

    inputs: dict[str, RawArray]
    labels: tuple[RawArray, ...]
    constants: frozenset[str] = frozenset()


def match_arrays(
    inputs: tuple[TensorSpec, ...],
    arrays: dict[str, RawArray],
    mapping: dict[str, str],
    title: str,
) -> Matches:
    """Find the array of every input, and the labels.

    An input takes the array that ``mapping`` names, else the one of its own name; the only array
    of numbers that is not labels feeds the only input. Nothing else is guessed.

    Args:
        inputs: Of the model.
        arrays: Of the file.
        mapping: Array name by input name; :data:`LABEL_KEY` names the labels.
        title: The file, for messages.

    Returns:
        The matches; all arrays in it but constants have as many rows.

    Raises:
        DatasetError: OQ121 if an input has no array, a name does not exist, or arrays differ in
            rows; OQ125 if labels are ambiguous or differ in rows.
    """
    _check_mapping(inputs, arrays, mapping, title)
    labels = find_labels(arrays, mapping, {spec.name for spec in inputs}, title)
    taken = {array.name for array in labels} - set(mapping.values())
    chosen = {
        spec.name: arrays[mapping.get(spec.name, spec.name)]
        for spec in inputs
        if mapping.get(spec.name, spec.name) in arrays
    }
    free = [array for name, array in arrays.items() if name not in taken | set(mapping.values())]
    free = [array for array in free if array.is_numeric] or free
    if not chosen and len(inputs) == 1 and len(free) == 1:
        chosen = {inputs[0].name: free[0]}
    for spec in inputs:
        if spec.name not in chosen:
            rest = tuple(a for a in arrays.values() if a not in [*chosen.values(), *labels])
            raise misfit(spec, rest, title, hint=_map_hint(spec, rest, arrays, labels))
    constants = _constants(inputs, chosen)
    by_row = {name: array for name, array in chosen.items() if name not in constants}
    _check_counts(by_row, labels, title)
    return Matches(chosen, labels, constants)


def _constants(inputs: tuple[TensorSpec, ...], chosen: dict[str, RawArray]) -> frozenset[str]:
    """Name the inputs whose array is one value for all rows.

    It has the very shape of an input that has no free batch axis, and not as many rows as others.
    """
    could = {
        spec.name
        for spec in inputs
        if not spec.has_free_batch and chosen[spec.name].shape == spec.shape
    }
    counts = {array.count_rows for name, array in chosen.items() if name not in could}
    if len(counts) != 1:
        return frozenset()
    return frozenset(
        name for name in could if not chosen[name].shape or chosen[name].count_rows not in counts
    )


def find_labels(
    arrays: dict[str, RawArray], mapping: dict[str, str], inputs: set[str], title: str
) -> tuple[RawArray, ...]:
    """Find the array of labels: the mapped one, else the one with a name that labels have.

    Args:
        arrays: Of the file.
        mapping: As for :func:`match_arrays`.
        inputs: Names of inputs, which are never labels.
        title: The file, for messages.

    Returns:
        One array, or none.

    Raises:
        DatasetError: OQ125, if several arrays could be the labels.
    """
    if LABEL_KEY in mapping and LABEL_KEY not in inputs:
        return (arrays[mapping[LABEL_KEY]],)
    used = inputs | set(mapping.values())
    found = [a for name, a in arrays.items() if name.lower() in LABEL_NAMES and name not in used]
    if len(found) > 1:
        names = ", ".join(array.name for array in found)
        message = f"{title} has {len(found)} arrays that could be labels: {names}."
        raise DatasetError(message, code="OQ125", hint=f"Name one:  --map labels={found[0].name}")
    return tuple(found)


def _check_mapping(
    inputs: tuple[TensorSpec, ...], arrays: dict[str, RawArray], mapping: dict[str, str], title: str
) -> None:
    names = [spec.name for spec in inputs]
    for name, array in mapping.items():
        if name not in [*names, LABEL_KEY]:
            wrong, known, kind = name, names, "the model has no input"
        elif array not in arrays:
            wrong, known, kind = array, list(arrays), f"{title} has no array"
        else:
            continue
        near = difflib.get_close_matches(wrong, known, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        message = f"--map {name}={array}: {kind} {wrong!r}, but {', '.join(known)}.{guess}"
        raise DatasetError(message, code="OQ121", hint="--map INPUT=ARRAY, or --map labels=ARRAY")


def _map_hint(
    spec: TensorSpec,
    free: tuple[RawArray, ...],
    arrays: dict[str, RawArray],
    labels: tuple[RawArray, ...],
) -> str:
    if not free:
        return f"Save rows for it:  np.savez('val.npz', **{{{spec.name!r}: x}}, y=labels)"
    if all(array.is_text for array in free):
        return text_hint(spec.name)
    likely = max(free, key=lambda array: _likeness(spec, array))
    hint = f"Say which array feeds it. Try:  --map {spec.name}={likely.name}"
    twins = [
        array.name
        for array in free
        if array is not likely and len(array.shape) == 1 and array.count_rows == likely.count_rows
    ]
    if twins and not labels and len(arrays) > 1:
        hint += f" --map labels={twins[0]}"
    return hint


def _likeness(spec: TensorSpec, array: RawArray) -> tuple[bool, float, bool]:
    """Order arrays by shape, then by name, then what is for evaluating."""
    shapes = (array.row_shape, channels_last_shape(array.row_shape))
    fits = any(fitting_layouts(shape, spec.shape[1:]) for shape in shapes)
    alike = difflib.SequenceMatcher(None, spec.name, array.name).ratio()
    is_held_out = any(part in array.name.lower() for part in ("test", "val"))
    return fits, is_held_out + alike, is_held_out


def _check_counts(chosen: dict[str, RawArray], labels: tuple[RawArray, ...], title: str) -> None:
    first, *others = chosen.values()
    for array in others:
        if array.count_rows != first.count_rows:
            message = f"{title} has {first} and {array}: expected as many rows in both."
            raise DatasetError(message, code="OQ121", hint="Axis 0 of every array is rows.")
    for array in labels:
        if array.count_rows != first.count_rows:
            message = (
                f"{title} has {array.count_rows} labels in {array.name!r}: expected "
                f"{first.count_rows}, one for each row of {first.name!r}."
            )
            raise DatasetError(message, code="OQ125", hint="Store one label for each row.")
