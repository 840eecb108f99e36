"""Values of this package: what is asked for, and the rows as they lie on disk."""

import math

from msgspec import Struct

MAX_SIDE_PIXELS = 16384
"""Longest side of an image that may be asked for."""


class AsGiven(Struct, frozen=True, tag="as-given"):
    """Rows are fed as they are; only a safe cast of their dtype is made."""


class PreprocessSpec(Struct, frozen=True, kw_only=True, tag="spec"):
    """How images become rows; prints as ``order=bgr,size=256,crop=227,scale=1,mean=…,std=…``.

    An image is resized, cropped, put into ``order``, and then each pixel ``p`` in 0..255 becomes
    ``(p / scale - mean) / std``. All of it applies to image files and to ``uint8`` arrays alike,
    except that an array that already has the final size is neither resized nor cropped.

    Attributes:
        order: ``rgb``, ``bgr`` or ``gray``.
        size: Length of the shorter side after resizing; 0 leaves the size alone.
        crop: Side of the centre square; 0 does not crop.
        scale: What pixels are divided by.
        mean: Subtracted after scaling, one value or one per channel (in ``order``).
        std: Divided by last, one value or one per channel.
        resize_height: Exact height after resizing, whatever the shape was; 0 leaves it alone.
        resize_width: Exact width; set where ``resize_height`` is. Prints as ``resize=240x320``.
    """

    order: str = "rgb"
    size: int = 0
    crop: int = 0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize_height: int = 0
    resize_width: int = 0

    def __post_init__(self) -> None:
        """Refuse what no image could go through.

        Raises:
            ValueError: If a field is out of its bounds or contradicts another.
        """
        self._check_geometry()
        self._check_arithmetic()

    def _check_geometry(self) -> None:
        lengths = (self.size, self.crop, self.resize_height, self.resize_width)
        if min(lengths) < 0 or max(lengths) > MAX_SIDE_PIXELS:
            message = f"size, crop and resize are pixels, 0 to {MAX_SIDE_PIXELS}"
        elif bool(self.resize_height) != bool(self.resize_width):
            message = "resize needs a height and a width"
        elif self.size and self.resize_height:
            message = "size (shorter side) and resize (height x width) exclude each other"
        elif self.crop > (self.size or min(self.resize_height, self.resize_width) or self.crop):
            message = f"crop={self.crop} is larger than the image after resizing"
        else:
            return
        raise ValueError(message)

    def _check_arithmetic(self) -> None:
        channels = 1 if self.order == "gray" else 3
        if self.order not in {"rgb", "bgr", "gray"}:
            message = f"order is rgb, bgr or gray: found {self.order!r}"
        elif not (math.isfinite(self.scale) and self.scale > 0):
            message = f"scale is a finite number above 0: found {self.scale:g}"
        elif not {len(self.mean), len(self.std)} <= {1, channels}:
            message = (
                f"mean and std have one value or one per channel ({channels} for "
                f"order={self.order}): found {len(self.mean)} and {len(self.std)}"
            )
        elif not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            message = "mean and std are finite, std is above 0"
        else:
            return
        raise ValueError(message)


class DataRequest(Struct, frozen=True, kw_only=True, tag="data"):
    r"""Rows that the user asked for.

    Attributes:
        spec: A file (``.npz``, ``.npy``, ``.csv``, ``.tsv``, ``.parquet``), a folder (of images,
            ``.npy``, ``.npz`` or ``.parquet``), ``pkg.mod:fn``, ``file.py:fn``, or
            ``hf:NAME[:CONFIGURATION][:SPLIT]``.
        preprocess: How images become rows; presets are resolved when the option is parsed.
        mapping: Array name by input name (``--map x=images``); ``labels`` names the array of
            labels where no input has that name. Of a table it names a column, or several side by
            side: ``age,hours`` or ``first:last``.
        classes: Empty, the path of a class list (for class folders and labels that are text), or
            a regular expression with one group, the class, that is searched in a file's path
            below the folder (``^(\d+)_``).
        limit_rows: Most rows used; 0 uses all. They are chosen at random, except that of an
            iterable the first ones are taken.
        seed: Of the choice of rows and of the split.
        working_folder: Where user code is run, so that its relative paths hold in a child; empty
            leaves the process where it is.
    """

    spec: str
    preprocess: PreprocessSpec | AsGiven = AsGiven()
    mapping: dict[str, str] = {}
    classes: str = ""
    limit_rows: int = 0
    seed: int = 0
    working_folder: str = ""


class StoredRows(Struct, frozen=True, kw_only=True):
    """Rows as ``.npy`` files, in C order; :mod:`onnxq.datasets.row_arrays` reads them.

    Attributes:
        inputs: Path of an ``.npy`` array by input name; axis 0 is rows. Where an input's rows
            differ in shape it is one axis of all values, row after row.
        count_rows: How many rows.
        labels: Path of an ``.npy`` array of labels or targets; empty without labels.
        row_names: Path of a JSON list that names each row for a person: file name or index.
        shapes: Path of an ``.npy`` array of row shapes, int64 ``[rows, axes]``, by the name of
            each input whose rows differ in shape; no other input is in it.
        whole: Inputs without a batch axis (scalars among them), in input order: a row is all that
            a run is fed.
    """

    inputs: dict[str, str]
    count_rows: int
    labels: str
    row_names: str
    shapes: dict[str, str] = {}
    whole: tuple[str, ...] = ()


class NoRows(Struct, frozen=True, tag="none"):
    """There are no such rows: no data was given, or none is left after the split."""


class CalibrationSet(Struct, frozen=True, tag="calibration"):
    """Rows that ranges are calibrated on; never evaluated on.

    Attributes:
        rows: The rows.
    """

    rows: StoredRows


class EvaluationSet(Struct, frozen=True, tag="evaluation"):
    """Rows that models are judged on; never calibrated on.

    Attributes:
        rows: The rows.
    """

    rows: StoredRows
