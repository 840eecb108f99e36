"""The report: one value with everything that a run found out, and its JSON, both ways.

The schema is ``onnxq/report/1``. Within it fields are only added; readers ignore fields that
they do not know. Every measured number is an :class:`~onnxq.estimates.Estimate`.
"""

from onnxq.reports.facts import DataFacts, Environment, NoData, NotCalibrated, SourceFacts
from onnxq.reports.parity import Parity, ParityNotChecked, ParityProbe
from onnxq.reports.report import SCHEMA, Report, read_report, report_from_json, report_to_json
from onnxq.reports.variants import (
    Artefact,
    Failed,
    Measured,
    NotApplicable,
    Skipped,
    Tried,
    Unusable,
    Variant,
)
from onnxq.reports.verdict import LimitName, Limits, Verdict, VerdictKind

__all__ = [
    "SCHEMA",
    "Artefact",
    "DataFacts",
    "Environment",
    "Failed",
    "LimitName",
    "Limits",
    "Measured",
    "NoData",
    "NotApplicable",
    "NotCalibrated",
    "Parity",
    "ParityNotChecked",
    "ParityProbe",
    "Report",
    "Skipped",
    "SourceFacts",
    "Tried",
    "Unusable",
    "Variant",
    "Verdict",
    "VerdictKind",
    "read_report",
    "report_from_json",
    "report_to_json",
]
