"""What Python may hand to an option beside its text, told where the option is declared.

To a type checker and to the body of a verb each of these is a plain ``str``: :mod:`.arguments`
makes it one before the body is run.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """How a text may also be given.

    Attributes:
        example: Such a text, for hints.
        numbers: Which numbers are taken in the place of a text that is a number.
        unit: What a number counts, as the text has it behind the number.
        paths: Whether it may name a file, so that an ``os.PathLike`` is taken.
        rows: Whether it names rows, for which arrays and functions are often mistaken.
    """

    example: str = ""
    numbers: Literal["none", "whole", "any"] = "none"
    unit: str = ""
    paths: bool = False
    rows: bool = False


AS_TEXT = Spelling()
"""As a text alone."""

WeightsPath: TypeAlias = Annotated[str, Spelling(paths=True, example="weights.pt")]
RangesPath: TypeAlias = Annotated[str, Spelling(paths=True, example="model.ranges.json")]
StatisticsPath: TypeAlias = Annotated[str, Spelling(paths=True, example="model.1of2.statistics")]
ModelPath: TypeAlias = Annotated[str, Spelling(paths=True, example="model.onnx")]
FolderPath: TypeAlias = Annotated[str, Spelling(paths=True, example="onnxq-out")]
RecipeText: TypeAlias = Annotated[str, Spelling(paths=True, example="int8")]
ClassesText: TypeAlias = Annotated[str, Spelling(paths=True, example="classes.txt")]
RowsText: TypeAlias = Annotated[str, Spelling(paths=True, rows=True, example="rows.npz")]
PreprocessText: TypeAlias = Annotated[str, Spelling(paths=True, example="imagenet")]
InputText: TypeAlias = Annotated[str, Spelling(example="x:1x3x224x224:float32")]
MapText: TypeAlias = Annotated[str, Spelling(example="x=images")]
OperatorText: TypeAlias = Annotated[str, Spelling(example="Conv")]
GlobText: TypeAlias = Annotated[str, Spelling(example="head/*")]
TargetText: TypeAlias = Annotated[str, Spelling(example="x86-vnni")]
RewriteText: TypeAlias = Annotated[str, Spelling(example="pool-spatial-mean")]
InterfaceText: TypeAlias = Annotated[str, Spelling(example="uint8")]
MetricText: TypeAlias = Annotated[str, Spelling(example="top1")]
ProviderText: TypeAlias = Annotated[str, Spelling(example="cpu")]
ShardText: TypeAlias = Annotated[str, Spelling(example="2/4")]
RowCount: TypeAlias = Annotated[str, Spelling(example="256", numbers="whole")]
SizeText: TypeAlias = Annotated[str, Spelling(example="20MB", numbers="any", unit="B")]
MemoryText: TypeAlias = Annotated[str, Spelling(example="2GB", numbers="any", unit="B")]
DropText: TypeAlias = Annotated[str, Spelling(example="1pp", numbers="any")]
SpeedupText: TypeAlias = Annotated[str, Spelling(example="1.5x", numbers="any")]
