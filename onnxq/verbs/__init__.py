"""The verbs: what the command line and ``import onnxq`` offer, under the same names.

Every option has one name: flag, keyword, key of ``onnxq.toml`` and field of the JSON documents.
Configuration files and ``ONNXQ_*`` variables are read by the command line alone: a call from
Python does what its arguments say.
"""

from onnxq.verbs.calibrating import calibrate, merge
from onnxq.verbs.converting import convert
from onnxq.verbs.describing import doctor, inspect, recipes, rewrites
from onnxq.verbs.planning import plan
from onnxq.verbs.profiling import profile
from onnxq.verbs.quantizing import quantize
from onnxq.verbs.repairing import repair
from onnxq.verbs.running import run

__all__ = [
    "calibrate",
    "convert",
    "doctor",
    "inspect",
    "merge",
    "plan",
    "profile",
    "quantize",
    "recipes",
    "repair",
    "rewrites",
    "run",
]
