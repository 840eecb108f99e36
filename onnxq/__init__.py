"""Turn a Keras, PyTorch or ONNX model into a smaller, faster ONNX model, and know what it cost.

The public face: verbs under the names that the command line has, and the values that they give
and take. Nothing is loaded before it is asked for, so ``import onnxq`` costs nothing::

    import onnxq

    report = onnxq.run("model.keras", data="val.npz", max_drop="1pp")
    print(report.verdict.sentence)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxq.calibration.reader import CalibrationReader
    from onnxq.doctoring import Doctor
    from onnxq.documents import (
        Built,
        Calibration,
        Conversion,
        NotProfiled,
        Plan,
        Profile,
        Profiled,
        Quantization,
        Repair,
        Unavailable,
    )
    from onnxq.errors import (
        ConversionError,
        DatasetError,
        InferenceError,
        Interrupted,
        LimitError,
        MissingDependencyError,
        ModelLoadError,
        OnnxqError,
        OutputError,
        ParityError,
        QuantizationError,
        RecipeError,
        SourceError,
        StageError,
        StrictError,
        UsageError,
    )
    from onnxq.estimates import Estimate
    from onnxq.events import Event, Progressed, StageDone, StageStarted
    from onnxq.findings import Finding
    from onnxq.recipe_facts import RecipeFacts
    from onnxq.reports import (
        Failed,
        Measured,
        NotApplicable,
        Report,
        Skipped,
        Tried,
        Unusable,
        Verdict,
        read_report,
    )
    from onnxq.rewrite_facts import RewriteFacts
    from onnxq.snippets import serving_snippet
    from onnxq.stages import InspectResult
    from onnxq.verbs import (
        calibrate,
        convert,
        doctor,
        inspect,
        merge,
        plan,
        profile,
        quantize,
        recipes,
        repair,
        rewrites,
        run,
    )

    __version__: str

__all__ = [
    "Built",
    "Calibration",
    "CalibrationReader",
    "Conversion",
    "ConversionError",
    "DatasetError",
    "Doctor",
    "Estimate",
    "Event",
    "Failed",
    "Finding",
    "InferenceError",
    "InspectResult",
    "Interrupted",
    "LimitError",
    "Measured",
    "MissingDependencyError",
    "ModelLoadError",
    "NotApplicable",
    "NotProfiled",
    "OnnxqError",
    "OutputError",
    "ParityError",
    "Plan",
    "Profile",
    "Profiled",
    "Progressed",
    "Quantization",
    "QuantizationError",
    "RecipeError",
    "RecipeFacts",
    "Repair",
    "Report",
    "RewriteFacts",
    "Skipped",
    "SourceError",
    "StageDone",
    "StageError",
    "StageStarted",
    "StrictError",
    "Tried",
    "Unavailable",
    "Unusable",
    "UsageError",
    "Verdict",
    "__version__",
    "calibrate",
    "convert",
    "doctor",
    "inspect",
    "merge",
    "plan",
    "profile",
    "quantize",
    "read_report",
    "recipes",
    "repair",
    "rewrites",
    "run",
    "serving_snippet",
]

_HOMES = {
    "onnxq.calibration.reader": ("CalibrationReader",),
    "onnxq.doctoring": ("Doctor",),
    "onnxq.documents": (
        "Built",
        "Calibration",
        "Conversion",
        "NotProfiled",
        "Plan",
        "Profile",
        "Profiled",
        "Quantization",
        "Repair",
        "Unavailable",
    ),
    "onnxq.errors": (
        "ConversionError",
        "DatasetError",
        "InferenceError",
        "Interrupted",
        "LimitError",
        "MissingDependencyError",
        "ModelLoadError",
        "OnnxqError",
        "OutputError",
        "ParityError",
        "QuantizationError",
        "RecipeError",
        "SourceError",
        "StageError",
        "StrictError",
        "UsageError",
    ),
    "onnxq.estimates": ("Estimate",),
    "onnxq.events": ("Event", "Progressed", "StageDone", "StageStarted"),
    "onnxq.findings": ("Finding",),
    "onnxq.recipe_facts": ("RecipeFacts",),
    "onnxq.rewrite_facts": ("RewriteFacts",),
    "onnxq.reports": (
        "Failed",
        "Measured",
        "NotApplicable",
        "Report",
        "Skipped",
        "Tried",
        "Unusable",
        "Verdict",
        "read_report",
    ),
    "onnxq.snippets": ("serving_snippet",),
    "onnxq.stages": ("InspectResult",),
    "onnxq.verbs": (
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
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name when it is asked for first."""
    from importlib import import_module, metadata  # noqa: PLC0415 - import onnxq is free of them

    if name == "__version__":
        value: object = metadata.version("onnxq")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        message = f"module 'onnxq' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
