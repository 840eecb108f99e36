"""The stages in order: a plan goes in, a report comes out."""

from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.running import execute_plan

__all__ = ["RunPlan", "execute_plan"]
