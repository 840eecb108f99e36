"""The verdict: what to do with a model, a pure function of what was measured."""

from onnxq.verdict.deciding import decide
from onnxq.verdict.fitting import fit_limits, has_limit
from onnxq.verdict.refusals import answer_quantized_already

__all__ = ["answer_quantized_already", "decide", "fit_limits", "has_limit"]
