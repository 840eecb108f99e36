"""Where rows come from: what every form of data, once it was opened, can tell and do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.row_arrays import same_shapes
from onnxq.datasets.splitting import Indices
from onnxq.findings import Finding
from onnxq.tensors import TensorSpec


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What opening data takes beside the request.

    Attributes:
        inputs: Of the model; empty if it is not known.
        folders: Folders that user code may be imported from.
        most_rows: Rows that are enough, where they must be computed to be counted; 0 wants all.
    """

    inputs: tuple[TensorSpec, ...] = ()
    folders: tuple[str, ...] = ()
    most_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Origin(ABC):
    """Rows that were opened: headers, names and sizes are known, and values are read in blocks.

    Attributes:
        title: What messages call the data.
        arrays: What can be read, by name, labels included; axis 0 is rows.
        class_names: What was numbered in sorted order to make the labels; empty where the data
            gives numbers.
        findings: How the data was read, where it could have been read otherwise.
    """

    title: str
    arrays: dict[str, RawArray]
    class_names: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @abstractmethod
    def read_blocks(self, array: RawArray, indices: Indices) -> Iterator[Array]:
        """Read some rows of an array, in blocks.

        Args:
            array: One of :attr:`arrays`, or one made of its columns.
            indices: Of the rows, ascending.

        Yields:
            Rows in order, a few megabytes at a time; those of a block have one shape.

        Raises:
            DatasetError: OQ127, if they cannot be read.
        """

    def shapes_of(self, array: RawArray, indices: Indices) -> Indices:
        """Return the shape of some rows as they are read, int64 ``[rows, axes]``.

        Args:
            array: As for :meth:`read_blocks`.
            indices: Of the rows, ascending.

        Raises:
            DatasetError: If rows have different numbers of axes (OQ121), or cannot be read (OQ127).
        """
        return same_shapes(array.row_shape, len(indices))

    def name_rows(self, indices: Indices) -> list[str]:
        """Return what each row is called: its index, or the path of its file."""
        return [str(index) for index in indices]

    def check_rows(self, indices: Indices) -> list[Finding]:  # noqa: ARG002 - files have checks
        """Check what can be checked before values are read, and say what was noticed.

        Raises:
            DatasetError: OQ121, OQ126 or OQ127, if a row cannot be used.
        """
        return []
