"""Columns of an image, grouped into channels for a convolution: windows and weights.

A convolution reads ``count`` columns as one, of ``count`` times the channels, and makes at once
what all windows that begin among them lead to: ``phases`` times the outputs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array


@dataclass(frozen=True)
class Fold:
    """How the columns of a window fall into groups.

    Attributes:
        count: Columns of a group.
        stride: Between windows, in columns; it divides the count.
        kernel: Columns of a window.
        begin: Columns of padding before the first.
    """

    count: int
    stride: int
    kernel: int
    begin: int

    @property
    def phases(self) -> int:
        """Windows that begin in a group."""
        return self.count // self.stride

    @property
    def before(self) -> int:
        """Groups of a window before the one that it lies at."""
        return -(-self.begin // self.count)

    @property
    def window(self) -> int:
        """Groups that the windows of a group reach."""
        end = (self.phases - 1) * self.stride - self.begin + self.kernel - 1
        return self.before + end // self.count + 1

    def groups(self, columns: int, made: int) -> int:
        """Return how many groups of windows cover a result.

        Args:
            columns: That are read; a multiple of the count.
            made: Columns of the result.
        """
        least = columns // self.count + self.before - self.window + 1  # without padding behind
        return max(-(-made // self.phases), least)

    def spread(self, weights: NDArray[np.int8], *, by_channel: bool) -> NDArray[np.int8]:
        """Repeat weights for each window of a group.

        Args:
            weights: ``[outputs, channels, rows, columns]``.
            by_channel: Whether the columns of a channel stay together, rather than the channels
                of a column.

        Returns:
            ``[phases * outputs, count * channels, rows, window]``.
        """
        outputs, channels, rows, _ = weights.shape
        shape = (self.phases, outputs, self.count, channels, rows, self.window)
        spread = np.zeros(shape, np.int8)
        for phase in range(self.phases):
            for column in range(self.kernel):
                group, within = divmod(phase * self.stride - self.begin + column, self.count)
                spread[phase, :, within, :, :, group + self.before] = weights[..., column]
        if by_channel:
            spread = spread.swapaxes(2, 3)
        return spread.reshape(-1, self.count * channels, rows, self.window)

    def repeat(self, values: Array) -> Array:
        """Repeat what there is one of for each output, as :meth:`spread` repeats outputs."""
        return np.concatenate([values] * self.phases)
