"""``pkg.mod:fn`` and ``file.py:fn``: rows that the user's own code gives."""

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.foreign_arrays import as_array
from onnxq.datasets.gathering import Gathered, gather
from onnxq.datasets.layouts import may_be_whole
from onnxq.datasets.origins import Opening, Origin
from onnxq.datasets.piecewise import Held, Piece, Piecewise
from onnxq.datasets.readings import Reading, note_reading
from onnxq.datasets.row_items import ROWS, Indexed, Names, is_whole, names_of, stream, take_apart
from onnxq.datasets.specs import CodeSpec
from onnxq.datasets.splitting import choose_rows
from onnxq.datasets.values import DataRequest, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.user_code import (
    UserCode,
    call_named,
    describe_failure,
    failures_said,
    import_named,
    importable_from,
    working_in,
)
from onnxq.wording import count_noun

_WANTED = (
    "an array, a dict of arrays by input name, a pair (x, y), or an iterable of dicts, pairs or "
    "arrays: rows or batches"
)
_HINT = (
    "Write a function without arguments that gives rows, and name it:  --data FILE.py:rows\n"
    "    def rows():\n"
    "        return {'x': x, 'labels': y}"
)


def open_code(spec: CodeSpec, request: DataRequest, opening: Opening) -> Origin:
    """Import what the user named, call it without arguments, and gather the rows that it gives.

    Args:
        spec: What was named; an object that holds rows is not called.
        request: What the user asked for; its limit ends what does not end by itself.
        opening: The model's inputs tell rows and batches apart.

    Returns:
        The rows, in memory or in temporary files.

    Raises:
        DatasetError: OQ105 if it does not exist, OQ106 if it fails or gives no rows, OQ121 if
            items differ, OQ124 without rows, OQ127 if they do not end.
        MissingDependencyError: OQ108, if it imports a package that is not installed.
    """
    is_file = spec.module.endswith(".py")
    module = Path(spec.module).name if is_file else spec.module
    code = UserCode(
        spec.module,
        spec.name,
        given=f"{module}:{spec.name}",
        wanted=_WANTED,
        error=DatasetError,
        hint=_HINT,
    )
    own = (str(Path(spec.module).absolute().parent),) if is_file else ()
    folders = tuple(dict.fromkeys([*own, *opening.folders]))
    names = names_of(opening.inputs, request.mapping)
    with importable_from(folders), working_in(request.working_folder):
        named = import_named(code, folders)
        given = call_named(named, code) if _is_function(named) else named
        if is_whole(given):
            return _hold(given, code, names)
        return _gather(given, code, names, request, opening)


def _is_function(named: object) -> bool:
    if inspect.isclass(named) or inspect.isroutine(named) or isinstance(named, partial):
        return True
    return callable(named) and not hasattr(named, "__iter__") and not hasattr(named, "__getitem__")


def _hold(given: object, code: UserCode, names: Names) -> Piecewise:
    pieces: dict[str, tuple[Piece, ...]] = {}
    for name, part in take_apart(given, names, code).items():
        try:
            values = as_array(part)
        except (ValueError, TypeError, RuntimeError) as error:  # frameworks have their own
            message = f"{code.given}: {name!r} cannot become an array: {describe_failure(error)}."
            raise DatasetError(message, code="OQ106", hint=code.hint) from error
        pieces[name] = (Held(RawArray(name, values.dtype, values.shape), values),)
    if not pieces:
        message = f"{code.given} gave no arrays, expected {code.wanted}."
        raise DatasetError(message, code="OQ106", hint=code.hint)
    arrays = {name: parts[0].array for name, parts in pieces.items()}
    return Piecewise(title=code.given, arrays=arrays, pieces=pieces)


def _gather(
    given: object, code: UserCode, names: Names, request: DataRequest, opening: Opening
) -> Piecewise:
    limits = [limit for limit in (request.limit_rows, opening.most_rows) if limit]
    most_rows = min(limits, default=0)
    if isinstance(given, Indexed):
        length = _length(given, code)
        chosen = _choose(length, request) if not opening.most_rows else ()
        first = gather(_items(given, code, range(min(length, 1))), code, names, opening.inputs, 1)
        if first.reading is Reading.ROW and chosen:
            items = _items(given, code, chosen)
            may_differ = _may_differ(names, request, opening)
            gathered = gather(items, code, names, opening.inputs, most_rows, may_differ)
            return _piecewise(code, gathered, row_numbers=chosen)
        items = _items(given, code, range(length))
    else:
        items = stream(given, code)
    may_differ = _may_differ(names, request, opening)
    return _piecewise(code, gather(items, code, names, opening.inputs, most_rows, may_differ))


def _may_differ(names: Names, request: DataRequest, opening: Opening) -> frozenset[str]:
    """Name the arrays whose rows may differ in shape: the model or preprocessing allows it."""
    by_size = isinstance(request.preprocess, PreprocessSpec)
    free = {
        names.array_of(spec.name)
        for spec in opening.inputs
        if by_size
        or any(isinstance(dim, str) for dim in spec.shape[not may_be_whole(spec, opening.inputs) :])
    }
    return frozenset(free | ({ROWS} if free and len(opening.inputs) == 1 else set()))


def _choose(count: int, request: DataRequest) -> tuple[int, ...]:
    """Choose among items that have an index; empty where all are used."""
    if not 0 < request.limit_rows < count:
        return ()
    return tuple(map(int, choose_rows(count, request.limit_rows, request.seed)))


def _length(given: Indexed, code: UserCode) -> int:
    with failures_said(code):
        return len(given)


def _items(given: Indexed, code: UserCode, indices: range | tuple[int, ...]) -> Iterator[object]:
    for index in indices:
        with failures_said(code):
            item = given[index]
        yield item


def _piecewise(code: UserCode, gathered: Gathered, row_numbers: tuple[int, ...] = ()) -> Piecewise:
    rows = count_noun(gathered.count_rows, "row")
    message = f"{code.given} was read as one row an item, {rows}."
    if gathered.reading is Reading.BATCH:
        message = f"{code.given} was read as batches with rows along axis 0, {rows}."
    findings = [note_reading(code.given, message)]
    if gathered.is_cut and not row_numbers:
        findings.append(_cut(code, gathered.count_rows))
    return Piecewise(
        title=code.given,
        arrays={name: held.array for name, held in gathered.arrays.items()},
        findings=tuple(findings),
        pieces={name: (held,) for name, held in gathered.arrays.items()},
        row_numbers=row_numbers,
    )


def _cut(code: UserCode, count: int) -> Finding:
    return Finding(
        code="OQ133",
        subject=code.given,
        message=f"The first {count_noun(count, 'row')} were taken: what comes one after the other "
        "cannot be chosen from.",
        fix="If rows come sorted by class, shuffle them first, with a fixed seed.",
    )
