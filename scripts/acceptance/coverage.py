"""How often does the interval of an accuracy drop hold the true drop? At least in 94 %.

Counts of lost and gained rows are trinomial, so that coverage is not simulated but enumerated:
the probabilities of all pairs of counts whose interval holds the true drop are added up (pairs
beyond 8.5 standard deviations count as misses). Prints a table of the least coverage over all
splits, and the largest misses of either end; exits 1 if any cell is below 94 %.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.paired_proportions import score_limits

LEAST_COVERAGE = 0.94
ROWS = (20, 30, 50, 70, 100, 150, 200, 350, 500, 1000, 2000, 5000)
FLIP_RATES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
LOST_SHARES = (0.5, 0.6, 0.75, 0.9, 0.95, 0.99, 1.0)
SCANNED_FLIPS = np.linspace(0, 20, 81)
"""Expected flips that are scanned besides the table: plain Tango fails between 4 and 8."""

_DEVIATIONS = 8.5
_SPARE_COUNTS = 15
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Misses:
    """How often an interval misses the truth.

    Attributes:
        above: Share of intervals that end below the true drop: non-inferiority is claimed
            wrongly.
        below: Share of intervals that begin above it.
    """

    above: float
    below: float

    @property
    def coverage(self) -> float:
        """Share of intervals that hold the true drop."""
        return 1 - self.above - self.below


class Intervals:
    """Intervals of all pairs of counts that matter at one number of rows.

    Args:
        rows: How many rows.
        flip_rate: The largest flip rate that is asked about.
    """

    def __init__(self, rows: int, flip_rate: float) -> None:
        self.rows = rows
        lost = np.arange(_most(rows, flip_rate) + 1)
        gained = np.arange(_most(rows, flip_rate / 2) + 1)
        pairs = [axis.ravel() for axis in np.meshgrid(lost, gained, indexing="ij")]
        possible = pairs[0] + pairs[1] <= rows
        self.lost, self.gained = pairs[0][possible], pairs[1][possible]
        self.low, self.high = score_limits(self.lost, self.gained, rows)
        self._log_ways = _log_multinomial(rows, self.lost, self.gained)

    def misses(self, flip_rate: float, lost_share: float) -> Misses:
        """Enumerate.

        Args:
            flip_rate: Probability that a row flips.
            lost_share: Share of flips that are losses, 0.5 to 1 (below it all is mirrored).

        Returns:
            How often the interval misses.
        """
        lose, gain = flip_rate * lost_share, flip_rate * (1 - lost_share)
        logs = self._log_ways + _times_log(self.lost, lose) + _times_log(self.gained, gain)
        logs = logs + _times_log(self.rows - self.lost - self.gained, 1 - flip_rate)
        likelihood, drop = np.exp(logs), lose - gain
        above = float(likelihood[self.high < drop - _ROUNDING].sum())
        beyond = max(0.0, 1 - float(likelihood.sum()))
        below = float(likelihood[self.low > drop + _ROUNDING].sum())
        return Misses(above, below + beyond)


def _most(rows: int, rate: float) -> int:
    spread = _DEVIATIONS * math.sqrt(rows * rate)
    return min(rows, math.ceil(rows * rate + spread) + _SPARE_COUNTS)


def _log_multinomial(
    rows: int, lost: NDArray[np.int64], gained: NDArray[np.int64]
) -> NDArray[np.float64]:
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])
    orders = factorials[lost] + factorials[gained] + factorials[rows - lost - gained]
    return np.asarray(factorials[rows] - orders, np.float64)


def _times_log(count: NDArray[np.int64], probability: float) -> NDArray[np.float64]:
    if probability > 0:
        return np.asarray(count * math.log(probability), np.float64)
    return np.where(count > 0, -np.inf, 0.0)


def main() -> int:
    """Print the table.

    Returns:
        0 if every cell holds, else 1.
    """
    print("Least coverage, in %, of the 95 % interval over splits from even to one-sided.")
    rates = "".join(f"{100 * rate:>7.3g}%" for rate in FLIP_RATES)
    print(f"{'rows':>6}{rates}    scan | above  below")
    least = 1.0
    for rows in ROWS:
        intervals = Intervals(rows, FLIP_RATES[-1])
        cells = [[intervals.misses(rate, share) for share in LOST_SHARES] for rate in FLIP_RATES]
        scan = [
            intervals.misses(flips / rows, share)
            for flips in SCANNED_FLIPS
            for share in LOST_SHARES
            if flips / rows <= FLIP_RATES[-1]
        ]
        every = [misses for cell in cells for misses in cell] + scan
        shown = "".join(f"{100 * min(m.coverage for m in cell):>8.2f}" for cell in cells)
        scanned = min(misses.coverage for misses in scan)
        above = 100 * max(misses.above for misses in every)
        below = 100 * max(misses.below for misses in every)
        print(f"{rows:>6}{shown}{100 * scanned:>8.2f} |{above:>6.2f}{below:>7.2f}", flush=True)
        least = min(least, *(misses.coverage for misses in every))
    print(f"Least of all: {100 * least:.2f} % (asked: {100 * LEAST_COVERAGE:.0f} %).")
    return 0 if least >= LEAST_COVERAGE else 1


if __name__ == "__main__":
    sys.exit(main())
