"""Metrics against labels: which output they are about, how it is read, what it is worth."""

from onnxq.profiling.metrics.choosing import choose_reading
from onnxq.profiling.metrics.making import make_metric, make_user_metric
from onnxq.profiling.metrics.readings import (
    Classifying,
    NamedClasses,
    Reading,
    ScoredClasses,
    Targets,
    YesOrNo,
    class_labels,
    first_class,
    row_slices,
)
from onnxq.profiling.metrics.scores import Metric, Scores

__all__ = [
    "Classifying",
    "Metric",
    "NamedClasses",
    "Reading",
    "ScoredClasses",
    "Scores",
    "Targets",
    "YesOrNo",
    "choose_reading",
    "class_labels",
    "first_class",
    "make_metric",
    "make_user_metric",
    "row_slices",
]
