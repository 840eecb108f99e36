"""Names, dtypes and shapes of a model's inputs and outputs."""

from collections.abc import Collection
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

DType: TypeAlias = Literal[
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
    "string",
]
Dim: TypeAlias = int | str

DTYPES: tuple[DType, ...] = get_args(DType)


class TensorSpec(Struct, frozen=True):
    """One input or output.

    Attributes:
        name: The name in the ONNX graph.
        dtype: The element type.
        shape: One entry an axis: a size, or a symbol (a string) where the axis is free.
        scale: Real numbers per step, where integers stand for real numbers; 0 where they do not.
        zero_point: The integer that stands for 0.0 there.
    """

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    scale: float = 0.0
    zero_point: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes below zero and empty symbols.

        Raises:
            ValueError: If an axis is neither a size nor a symbol.
        """
        for dim in self.shape:
            if dim == "" or (isinstance(dim, int) and dim < 0):
                message = f"{self.name}: axis {dim!r} is neither a size nor a symbol"
                raise ValueError(message)

    @property
    def stands_for_reals(self) -> bool:
        """Whether its integers are steps of a scale."""
        return self.scale > 0

    @property
    def has_free_batch(self) -> bool:
        """Whether the first axis takes any number of rows."""
        return bool(self.shape) and isinstance(self.shape[0], str)

    def __str__(self) -> str:
        """Render as ``name float32 [N, 3, 224, 224]``."""
        return f"{self.name} {self.dtype} [{', '.join(map(str, self.shape))}]"


class Signature(Struct, frozen=True):
    """The inputs and outputs of a model, in the graph's order.

    Attributes:
        inputs: What must be fed.
        outputs: What comes back.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        """Refuse duplicate names.

        Raises:
            ValueError: If two inputs or two outputs share a name.
        """
        for specs in (self.inputs, self.outputs):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                message = f"names are not unique: {names}"
                raise ValueError(message)

    @property
    def has_free_batch(self) -> bool:
        """Whether every input takes any number of rows."""
        return all(spec.has_free_batch for spec in self.inputs)

    @property
    def fixed_batch_rows(self) -> int:
        """Rows of a fixed batch axis; 0 where the batch axis is free.

        Inputs without a batch axis (scalars) do not count.
        """
        return self.fixed_batch_beside(())

    def fixed_batch_beside(self, whole: Collection[str]) -> int:
        """Return the rows of a fixed batch axis; 0 where the batch axis is free.

        Args:
            whole: Inputs whose first axis is no batch axis, as their rows show
                (:class:`~onnxq.datasets.values.StoredRows`).
        """
        inputs = [spec for spec in self.inputs if spec.shape and spec.name not in whole]
        sizes = [spec.shape[0] for spec in inputs]
        return next((size for size in sizes if isinstance(size, int)), 0)
