"""The verdict: what to do with a model, a pure function of what was measured."""

from onnxq.verdict.deciding import decide
from onnxq.verdict.words import RATES

__all__ = ["RATES", "decide"]
