"""The door to pyarrow: Parquet files and Arrow streams become rows, batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, ipc, parquet, types

from onnxq.arrays import Array
from onnxq.datasets.archives import BLOCK_BYTES, fetch_hint
from onnxq.datasets.arrays import TEXT, RawArray
from onnxq.datasets.geometry import final_size
from onnxq.datasets.origins import Origin
from onnxq.datasets.row_arrays import equal_stretches, same_shapes
from onnxq.datasets.splitting import Indices
from onnxq.datasets.tables import ArrowFiles, Table, Unfit
from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.wording import shorten

if TYPE_CHECKING:
    from onnxq.datasets.images import EncodedImage

_BATCH_ROWS = 1024
_MISSING_HINT = "Fill such values in, or leave their rows out."


@dataclass(frozen=True, kw_only=True)
class ArrowRows(Table):
    """The rows of files.

    Attributes:
        files: The files.
        spec: Its geometry is applied to images.
    """

    files: ArrowFiles
    spec: PreprocessSpec | AsGiven

    def read_blocks(self, array: RawArray, indices: Indices) -> Iterator[Array]:
        """Read rows; see :class:`~onnxq.datasets.origins.Origin`."""
        columns = array.columns or (array.name,)
        row_bytes = array.dtype.itemsize * int(np.prod(array.row_shape))
        block_rows = max(1, min(_BATCH_ROWS, BLOCK_BYTES // max(1, row_bytes)))
        for rows, taken in self._taken(columns, indices, block_rows):
            if array.columns:
                parts = (self._values(taken.column(name), name, rows) for name in columns)
                yield np.stack([*parts], axis=1)
                continue
            for start, stop in equal_stretches(self._shapes(array, taken.column(0), rows)):
                part = taken.column(0).slice(start, stop - start)
                yield self._values(part, array.name, rows[start:stop])

    def _taken(
        self, columns: tuple[str, ...], indices: Indices, block_rows: int
    ) -> Iterator[tuple[Indices, pa.RecordBatch]]:
        """Yield some rows of columns, in blocks, with their indices."""
        start = 0
        for batch in _batches(self.files, columns):
            first, last = np.searchsorted(indices, [start, start + batch.num_rows])
            for at in range(first, last, block_rows):
                rows = indices[at : min(at + block_rows, last)]
                yield rows, batch.take(pa.array(rows - start))
            start += batch.num_rows

    def shapes_of(self, array: RawArray, indices: Indices) -> Indices:
        """Return the shape of rows; see :class:`~onnxq.datasets.origins.Origin`."""
        if not self._may_differ(array):
            return super().shapes_of(array, indices)
        blocks = self._taken((array.name,), indices, _BATCH_ROWS)
        return np.concatenate([self._shapes(array, taken.column(0), at) for at, taken in blocks])

    def _may_differ(self, array: RawArray) -> bool:
        """Whether rows are lists, or images whose size preprocessing leaves to them."""
        if array.images and isinstance(self.spec, PreprocessSpec):
            return not (self.spec.crop or self.spec.resize_height)
        return array.images or (len(array.row_shape) == 1 and not array.columns)

    def _shapes(self, array: RawArray, column: pa.Array, rows: Indices) -> Indices:
        """Tell the shapes of rows from what encodes them; rows without values get the usual one."""
        if column.null_count or not self._may_differ(array):
            return same_shapes(array.row_shape, len(rows))
        if not array.images:
            lengths = compute.list_value_length(_plain(column)).to_numpy(zero_copy_only=False)
            return np.asarray(lengths, np.int64).reshape(-1, 1)
        from onnxq.datasets.images import read_image_size  # noqa: PLC0415 - needs an extra

        shapes = []
        for scalar, row in zip(column, rows, strict=True):
            subject = f"{array.name}, row {row} of {self.title},"
            size = final_size(read_image_size(_encoded(scalar, subject)), self.spec, subject)
            shapes.append((*size, array.row_shape[-1]))
        return np.array(shapes, np.int64)

    def _values(self, column: pa.Array, name: str, rows: Indices) -> Array:
        array = self.arrays[name]
        if column.null_count:
            missing = int(rows[np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]])
            message = f"row {missing} of column {name!r} in {self.title} has no value."
            raise DatasetError(message, code="OQ123", hint=_MISSING_HINT)
        if array.is_text:
            return np.array(_plain(column).to_pylist(), TEXT)
        if array.images:
            return np.stack([self._image(c, name, r) for c, r in zip(column, rows, strict=True)])
        return self._numbers(column, array, rows)

    def _numbers(self, column: pa.Array, array: RawArray, rows: Indices) -> Array:
        """Unwrap lists; nested ones must have the shape that the first row of all has."""
        values = _plain(column)
        row_shape = tuple(self._shapes(array, column, rows)[0].tolist())
        for size in row_shape:
            lengths = compute.list_value_length(values).to_numpy(zero_copy_only=False)
            if (lengths != size).any():
                inner = len(values) // len(rows)
                row = int(rows[int((lengths != size).argmax()) // inner])
                message = (
                    f"row {row} of column {array.name!r} in {self.title} is not "
                    f"{list(array.row_shape)} as row 0 is: expected lists of one length."
                )
                hint = "Pad sequences to one length, as in training."
                raise DatasetError(message, code="OQ121", hint=hint)
            values = _plain(values.flatten())
        if values.null_count:
            message = f"lists in column {array.name!r} of {self.title} have missing values."
            raise DatasetError(message, code="OQ123", hint=_MISSING_HINT)
        numbers: Array = values.to_numpy(zero_copy_only=False)
        return numbers.reshape(len(column), *row_shape)

    def _image(self, scalar: pa.Scalar, name: str, row: int) -> Array:
        from onnxq.datasets.images import read_image  # noqa: PLC0415 - needs an extra

        return read_image(_encoded(scalar, f"{name}, row {row} of {self.title},"), self.spec)


def open_arrow(files: ArrowFiles, spec: PreprocessSpec | AsGiven) -> Origin:
    """Open files that hold one table.

    Args:
        files: One after the other.
        spec: Its geometry says how large images become.

    Returns:
        The columns: numbers, lists of numbers (as long as in the first row), text, and images.

    Raises:
        DatasetError: OQ127, if a file is damaged, or columns differ between files.
        MissingDependencyError: OQ108, if there are images, without Pillow.
    """
    count = sum(_count_rows(path, files) for path in files.paths)
    schema = _read_schema(files)
    first = next((batch for batch in _batches(files, tuple(schema.names)) if len(batch)), None)
    arrays: dict[str, RawArray] = {}
    unfit: dict[str, Unfit] = {}
    for field in schema:
        scalar = None if first is None else first.column(field.name)[0]
        found = _describe(field, scalar, files, spec, count)
        if isinstance(found, Unfit):
            unfit[field.name] = found
            found = RawArray(field.name, _unfed_dtype(field.type), (count,))
        arrays[field.name] = found
    return ArrowRows(title=files.title, arrays=arrays, unfit=unfit, files=files, spec=spec)


def _describe(
    field: pa.Field,
    scalar: pa.Scalar | None,
    files: ArrowFiles,
    spec: PreprocessSpec | AsGiven,
    count: int,
) -> RawArray | Unfit:
    """Describe a column by its type and its first row, or say why it cannot be fed."""
    name, kind = field.name, _plain_type(field.type)
    if name in files.images or _is_image(kind):
        return _describe_image(name, scalar, files, spec, count)
    if _is_text(kind):
        shown = repr(shorten(str(scalar.as_py()))) if scalar is not None else "text"
        return Unfit(f"row 0 holds {shown}", is_text=True)
    shape: list[int] = []
    while _is_list(kind):
        kind = _plain_type(kind.value_type)
        if scalar is not None and not scalar.is_valid:
            return Unfit("row 0 has no value", is_text=False)
        values = None if scalar is None else _plain(scalar.values)
        shape.append(0 if values is None else len(values))
        scalar = values[0] if values is not None and len(values) else None
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        return Unfit(f"it holds {field.type}", is_text=True)
    return RawArray(name, np.dtype(kind.to_pandas_dtype()), (count, *shape))


def _describe_image(
    name: str,
    scalar: pa.Scalar | None,
    files: ArrowFiles,
    spec: PreprocessSpec | AsGiven,
    count: int,
) -> RawArray | Unfit:
    from onnxq.datasets.images import read_image_size  # noqa: PLC0415 - needs an extra

    if scalar is None or not scalar.is_valid:
        return Unfit("row 0 has no image", is_text=False)
    subject = f"{name}, row 0 of {files.title},"
    size = final_size(read_image_size(_encoded(scalar, subject)), spec, subject)
    return RawArray(name, np.dtype(np.uint8), (count, *size, 3), images=True)


def _encoded(scalar: pa.Scalar, subject: str) -> "EncodedImage":
    """Return the content of an image; ``datasets`` stores ``{bytes, path}``."""
    from onnxq.datasets.images import EncodedImage  # noqa: PLC0415 - needs an extra

    value = scalar.as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        message = f"{subject} is not in the table: it holds a path alone, {value}."
        hint = "Give the folder of images, or store the images in the table."
        raise DatasetError(message, code="OQ127", hint=hint)
    return EncodedImage(subject, content)


def _read_schema(files: ArrowFiles) -> pa.Schema:
    """Return the columns, which all files share."""
    first, *others = (_file_schema(path, files) for path in files.paths)
    for path, other in zip(files.paths[1:], others, strict=True):
        if not other.equals(first):
            message = f"{path.name} holds other columns than {files.paths[0].name}."
            hint = "Store all parts with the same columns of the same types."
            raise DatasetError(message, code="OQ127", hint=hint)
    return first


def _file_schema(path: Path, files: ArrowFiles) -> pa.Schema:
    with _failures_said(path):
        if files.is_parquet:
            return parquet.read_schema(path)
        return ipc.open_stream(pa.memory_map(str(path))).schema


def _count_rows(path: Path, files: ArrowFiles) -> int:
    with _failures_said(path):
        if files.is_parquet:
            return int(parquet.read_metadata(path).num_rows)
        return sum(batch.num_rows for batch in ipc.open_stream(pa.memory_map(str(path))))


def _batches(files: ArrowFiles, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for path in files.paths:
        with _failures_said(path):
            if files.is_parquet:
                with parquet.ParquetFile(path) as file:
                    yield from file.iter_batches(_BATCH_ROWS, columns=list(columns))
            else:
                for batch in ipc.open_stream(pa.memory_map(str(path))):
                    yield batch.select(list(columns))


@contextmanager
def _failures_said(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        message = f"{path.name} is not a whole file of its kind: {reason}."
        raise DatasetError(message, code="OQ127", hint=fetch_hint(path)) from error


def _plain(column: pa.Array) -> pa.Array:
    """Unwrap extension types, and decode dictionaries."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_image(kind: pa.DataType) -> bool:
    """Whether a column is laid out as ``datasets`` stores images."""
    if not types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    return fields.keys() == {"bytes", "path"} and types.is_binary(fields["bytes"])


def _unfed_dtype(kind: pa.DataType) -> np.dtype[Any]:
    return TEXT if _is_text(_plain_type(kind)) else np.dtype(object)
