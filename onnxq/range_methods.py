"""Range methods: how a range is chosen from what calibration saw of a tensor. Values only."""

from typing import TypeAlias

from msgspec import Struct

from onnxq.errors import RecipeError

_LEAST_PERCENT = 50.0


class MinMax(Struct, frozen=True, tag="minmax"):
    """The smallest range that holds every finite calibrated value."""


class MeanSquaredError(Struct, frozen=True, tag="mse"):
    """The range with the least expected squared quantization error."""


class Auto(Struct, frozen=True, tag="auto"):
    """The range with the least expected squared error behind what reads the tensor.

    Errors of clipping, which lie side by side, count as many times more than those of rounding as
    the weights of its readers let them through more strongly.
    """


class Percentile(Struct, frozen=True, tag="percentile"):
    """The range that holds a share of the values; what lies beyond it is clipped.

    Attributes:
        percent: Share of the values within the range, above 50, up to 100. An asymmetric range
            cuts half of the rest off each end; a symmetric one cuts it off the largest
            magnitudes.
    """

    percent: float = 99.99

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            RecipeError: OQ161 if it is out of bounds.
        """
        if not _LEAST_PERCENT < self.percent <= 100:  # noqa: PLR2004 - a percentage
            message = (
                f"a percentile range needs a percent above 50, up to 100; found {self.percent}."
            )
            hint = "Percentile(percent=99.99) is the default; 100 is the same as minmax."
            raise RecipeError(message, code="OQ161", hint=hint)


RangeMethod: TypeAlias = MinMax | Percentile | MeanSquaredError | Auto

_PERCENTILE = "percentile"


def method_tag(method: RangeMethod) -> str:
    """Return a range method's short name, unique among methods.

    Args:
        method: Any range method.

    Returns:
        ``minmax``, ``mse``, ``auto``, or ``percentile99.99``.
    """
    match method:
        case MinMax():
            return "minmax"
        case MeanSquaredError():
            return "mse"
        case Auto():
            return "auto"
        case Percentile(percent=percent):
            return f"{_PERCENTILE}{repr(float(percent)).removesuffix('.0')}"


def parse_method(text: str) -> RangeMethod:
    """Parse a range method's short name.

    Args:
        text: ``minmax``, ``mse``, ``auto``, ``percentile`` (its default), or ``percentile99.9``.

    Returns:
        The method.

    Raises:
        RecipeError: OQ161 if there is none of this name.
    """
    match text:
        case "minmax":
            return MinMax()
        case "mse":
            return MeanSquaredError()
        case "auto":
            return Auto()
        case "percentile":
            return Percentile()
    try:
        return Percentile(float(text.removeprefix(_PERCENTILE)) if _is_percentile(text) else -1.0)
    except (ValueError, RecipeError) as error:
        message = f"there is no range method {text!r}."
        hint = "Range methods: minmax, mse, auto, percentile99.99 (any share above 50, up to 100)."
        raise RecipeError(message, code="OQ161", hint=hint) from error


def _is_percentile(text: str) -> bool:
    digits = text.removeprefix(_PERCENTILE)
    return text.startswith(_PERCENTILE) and digits.replace(".", "", 1).isdecimal()
