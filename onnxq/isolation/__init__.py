"""Stages run in child processes, so that no foreign file is parsed in the parent."""

from onnxq.isolation.children import Workplace, open_conversation, run_stage
from onnxq.isolation.watching import ChildLimits, default_limits

__all__ = ["ChildLimits", "Workplace", "default_limits", "open_conversation", "run_stage"]
