"""Numbers with their uncertainty, and the estimators that make them. numpy only."""

from msgspec import Struct


class Estimate(Struct, frozen=True):
    """A measured number.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; equals ``value`` where nothing varies.
        high: Upper end of the interval.
        n: How many independent observations stand behind it.
        method: How the interval was made, such as ``wilson-95`` or ``exact``.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its value.

        Raises:
            ValueError: If ``low <= value <= high`` does not hold (so no NaN either).
        """
        if not self.low <= self.value <= self.high:
            message = f"{self.value} does not lie in [{self.low}, {self.high}]"
            raise ValueError(message)


def exact(value: float) -> Estimate:
    """Return a number that has no uncertainty, such as a size in bytes."""
    return Estimate(value, value, value, 1, "exact")
