"""What each stage is asked for and answers: plain values that travel as JSON.

A stage is a function ``(request, folder, tell) -> result`` that runs in a child process. It may
write files into ``folder``, its private part of the work folder, and nowhere else. This package
loads no framework, so that the parent can name stages without paying for them.

A module holds the stages of one topic; ``STAGES`` and ``CONVERSATIONS`` hold all that a child
carries out, and everything is imported from here.
"""

from typing import Any

from onnxq.stages.arriving import (
    CONVERT,
    LOAD_ROWS,
    PREPARE,
    SIDE_FILES,
    ConvertRequest,
    ConvertResult,
    LoadRowsRequest,
    LoadRowsResult,
    NoDataRequest,
    PrepareRequest,
    PrepareResult,
    SideFilesRequest,
    SideFilesResult,
)
from onnxq.stages.calibrating import (
    CALIBRATE,
    COVERAGE,
    CalibrateRequest,
    CalibrateResult,
    CoverageRequest,
    CoverageResult,
    RangesAsked,
    StatisticsParts,
)
from onnxq.stages.describing import (
    INSPECT,
    FitAnswer,
    InspectRequest,
    InspectResult,
    NamedNode,
    NotCompared,
    QuantizedTensor,
    WeightError,
)
from onnxq.stages.estimating import ESTIMATE, EstimateRequest, EstimateResult
from onnxq.stages.judging import (
    JUDGE,
    PREDICT,
    JudgeRequest,
    JudgeResult,
    PredictRequest,
    PredictResult,
)
from onnxq.stages.placing import (
    PLACE,
    FloatRegion,
    NodePlacement,
    PlaceRequest,
    PlaceResult,
)
from onnxq.stages.probing import PROBE, ProbeRequest, ProbeResult
from onnxq.stages.quantizing import (
    GATE,
    QUANTIZE,
    GateRequest,
    GateResult,
    QuantizeRequest,
    QuantizeResult,
)
from onnxq.stages.repairing import (
    REPAIR,
    KernelCount,
    RepairRequest,
    RepairResult,
    RepairStep,
)
from onnxq.stages.stage import Conversation, Stage
from onnxq.stages.timing import (
    LATENCY,
    PROFILE_OPERATORS,
    PROVIDERS,
    LatencyChildRequest,
    ListProvidersRequest,
    ListProvidersResult,
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
    Turn,
    TurnTimes,
)
from onnxq.stages.tuning import LIST_REWRITES, ListRewritesRequest, ListRewritesResult

__all__ = [
    "CALIBRATE",
    "CONVERSATIONS",
    "CONVERT",
    "COVERAGE",
    "ESTIMATE",
    "GATE",
    "INSPECT",
    "JUDGE",
    "LATENCY",
    "LIST_REWRITES",
    "LOAD_ROWS",
    "PLACE",
    "PREDICT",
    "PREPARE",
    "PROBE",
    "PROFILE_OPERATORS",
    "PROVIDERS",
    "QUANTIZE",
    "REPAIR",
    "SIDE_FILES",
    "STAGES",
    "CalibrateRequest",
    "CalibrateResult",
    "Conversation",
    "ConvertRequest",
    "ConvertResult",
    "CoverageRequest",
    "CoverageResult",
    "EstimateRequest",
    "EstimateResult",
    "FitAnswer",
    "FloatRegion",
    "GateRequest",
    "GateResult",
    "InspectRequest",
    "InspectResult",
    "JudgeRequest",
    "JudgeResult",
    "KernelCount",
    "LatencyChildRequest",
    "ListProvidersRequest",
    "ListProvidersResult",
    "ListRewritesRequest",
    "ListRewritesResult",
    "LoadRowsRequest",
    "LoadRowsResult",
    "NamedNode",
    "NoDataRequest",
    "NodePlacement",
    "NotCompared",
    "PlaceRequest",
    "PlaceResult",
    "PredictRequest",
    "PredictResult",
    "PrepareRequest",
    "PrepareResult",
    "ProbeRequest",
    "ProbeResult",
    "ProfileOperatorsRequest",
    "ProfileOperatorsResult",
    "QuantizeRequest",
    "QuantizeResult",
    "QuantizedTensor",
    "RangesAsked",
    "RepairRequest",
    "RepairResult",
    "RepairStep",
    "SideFilesRequest",
    "SideFilesResult",
    "Stage",
    "StatisticsParts",
    "Turn",
    "TurnTimes",
    "WeightError",
]

STAGES: tuple[Stage[Any, Any], ...] = (
    SIDE_FILES,
    CONVERT,
    LOAD_ROWS,
    PREPARE,
    CALIBRATE,
    COVERAGE,
    QUANTIZE,
    GATE,
    PREDICT,
    JUDGE,
    PROFILE_OPERATORS,
    PLACE,
    PROVIDERS,
    ESTIMATE,
    INSPECT,
    PROBE,
    LIST_REWRITES,
    REPAIR,
)
"""What a child carries out once and ends."""

CONVERSATIONS: tuple[Conversation[Any, Any, Any], ...] = (LATENCY,)
"""What a child opens and then answers questions about."""
