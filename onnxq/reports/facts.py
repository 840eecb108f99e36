"""What was given, and where it was measured."""

from msgspec import Struct

from onnxq.reports.parity import Parity, ParityNotChecked
from onnxq.tensors import Signature


class Environment(Struct, frozen=True, kw_only=True):
    """Where the measurements were made.

    Attributes:
        cpu: The CPU's name as it calls itself.
        isa: The instruction sets that matter to onnxruntime's kernels, such as ``avx512_vnni``.
        cores: Cores that this process may use.
        system: Operating system and machine.
        python: Version.
        packages: Versions by package name.
        load: Load average of the last minute at the start.
        busy_ratio: Wall time over CPU time while measuring; above 1.1 the machine was busy.
            0 where nothing was measured.
    """

    cpu: str
    isa: tuple[str, ...]
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    load: float
    busy_ratio: float = 0.0


class SourceFacts(Struct, frozen=True, kw_only=True):
    """The model that was given, and what its conversion says.

    Attributes:
        given: As typed by the user.
        framework: ``keras``, ``torch`` or ``onnx``.
        exporter: What wrote the ONNX file, with its version.
        signature: Of the ONNX model.
        opset: Of the ONNX model.
        sha256: Of the ONNX model.
        parity: Whether the export computes the same.
        quantized_already: How the model is quantized already, for a person; empty where it is
            float.
    """

    given: str
    framework: str
    exporter: str
    signature: Signature
    opset: int
    sha256: str
    parity: Parity | ParityNotChecked
    quantized_already: str = ""


class DataFacts(Struct, frozen=True, kw_only=True, tag="data"):
    """The rows that were used.

    Attributes:
        spec: As typed by the user.
        calibration_spec: As typed with ``--calib``; empty where the rows were split.
        preprocess: The printable preprocessing spec; empty where rows were fed as given.
        evaluation_rows: Rows that models were judged on.
        calibration_rows: Rows that ranges were calibrated on.
        labelled: Whether there were labels.
        seed: Of the split.
    """

    spec: str
    calibration_spec: str
    preprocess: str
    evaluation_rows: int
    calibration_rows: int
    labelled: bool
    seed: int


class NoData(Struct, frozen=True, tag="none"):
    """No rows were given."""


class NotCalibrated(Struct, frozen=True, tag="none"):
    """No recipe wanted ranges, or there were no rows for them."""
