"""Values of this package: what is asked for, and the rows as they lie on disk."""

from msgspec import Struct


class AsGiven(Struct, frozen=True, tag="as-given"):
    """Rows are fed as they are; only a safe cast of their dtype is made."""


class PreprocessSpec(Struct, frozen=True, kw_only=True, tag="spec"):
    """How images become rows; prints as ``order=bgr,size=256,crop=227,scale=1,mean=…,std=…``.

    A pixel ``p`` in 0..255 becomes ``(p / scale - mean) / std``. ``size`` and ``crop`` apply to
    image files only; the others to ``uint8`` arrays as well.

    Attributes:
        order: ``rgb``, ``bgr`` or ``gray``.
        size: Length of the shorter side after resizing; 0 leaves the size alone.
        crop: Side of the centre square; 0 does not crop.
        scale: What pixels are divided by.
        mean: Subtracted after scaling, one value or one per channel (in ``order``).
        std: Divided by last, one value or one per channel.
    """

    order: str = "rgb"
    size: int = 0
    crop: int = 0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class DataRequest(Struct, frozen=True, kw_only=True):
    """Rows that the user asked for.

    Attributes:
        spec: Path of an ``.npz`` file or an image folder.
        preprocess: How images become rows; presets are resolved when the option is parsed.
        mapping: Array name by input name (``--map x=images``).
        classes: Empty, the path of a class list, or a regular expression on the file name with
            one group: the class.
        limit_rows: Most rows used; 0 uses all.
        seed: Of the choice of rows and of the split.
    """

    spec: str
    preprocess: PreprocessSpec | AsGiven = AsGiven()
    mapping: dict[str, str] = {}
    classes: str = ""
    limit_rows: int = 0
    seed: int = 0


class StoredRows(Struct, frozen=True, kw_only=True):
    """Rows as ``.npy`` files, fit to be memory-mapped.

    Attributes:
        inputs: Path of a C-ordered ``.npy`` array by input name; axis 0 is rows.
        count_rows: How many rows.
        labels: Path of an ``.npy`` array of labels or targets; empty without labels.
        row_names: Path of a JSON list that names each row for a person: file name or index.
    """

    inputs: dict[str, str]
    count_rows: int
    labels: str
    row_names: str


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
