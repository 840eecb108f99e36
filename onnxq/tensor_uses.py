"""What a tensor's values are for, so far as its range should know. Values only."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

TailKind: TypeAlias = Literal["inner", "sigmoid", "ranked"]
"""What a tensor reaches with nothing but a change of shape between.

``inner``: nothing that ranks; its ends may be cut off. ``sigmoid``: Sigmoids and nothing else that
ranks, so that errors can be judged behind them, value by value. ``ranked``: a Softmax or a graph
output, whose largest values are what the model says; nothing is cut off.
"""


@dataclass(frozen=True)
class TensorUse:
    """What a range is chosen for.

    Attributes:
        tail: What the tensor reaches.
        clipping_gain: How many times more strongly clipping comes through in what reads it than
            rounding does, as a ratio of powers, at least 1: see
            :mod:`onnxq.graph.clipping_gains`.
        low: Lower bound of its values by the operator that makes them; -inf without one.
        high: Upper bound of its values by that operator; +inf without one.
        is_share: Whether its values are shares, as a Sigmoid or Softmax makes them: all of 0 to 1
            counts, whatever was seen.
    """

    tail: TailKind = "inner"
    clipping_gain: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    is_share: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no gain.

        Raises:
            ValueError: If the gain is below 1 or not finite.
        """
        if not (math.isfinite(self.clipping_gain) and self.clipping_gain >= 1.0):
            message = f"clipping cannot come through {self.clipping_gain} times as strongly"
            raise ValueError(message)


INNER = TensorUse()
"""Nothing is known of what reads the tensor."""

RANKED = TensorUse(tail="ranked")
"""Nothing may be cut off."""
