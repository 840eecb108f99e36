"""What this machine is good for, what is installed, and what a file would need."""

import platform

from msgspec import Struct

from onnxq.events import Tell
from onnxq.file_advice import FileAdvice, advise_file
from onnxq.packages import Package, installed_version, list_packages
from onnxq.reports import Environment

_TELEMETRY = "onnxruntime's is off in every process that onnxq starts; onnxq has none"


class NoFile(Struct, frozen=True, tag="none"):
    """No file was asked about."""


class Doctor(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        onnxq: Version.
        environment: The machine.
        target: What its kernels are good for, as a sentence.
        telemetry: What becomes of onnxruntime's telemetry, as a sentence.
        packages: Of the base, then of the extras.
        file: Advice about a file.
    """

    onnxq: str
    environment: Environment
    target: str
    telemetry: str
    packages: tuple[Package, ...]
    file: FileAdvice | NoFile


def examine(file: str, tell: Tell) -> Doctor:  # noqa: ARG001 - a verb's listener; nothing takes long
    """Look at this machine, its packages, and a file.

    Args:
        file: A model file; empty to look at the machine alone.
        tell: Not told anything.

    Returns:
        What was found.

    Raises:
        SourceError: If there is no such file.
    """
    from onnxq.profiling.environment import read_environment  # noqa: PLC0415 - psutil, late
    from onnxq.targets import describe_target  # noqa: PLC0415 - late

    advice = advise_file(file) if file else NoFile()
    environment = read_environment()
    return Doctor(
        onnxq=installed_version("onnxq"),
        environment=environment,
        target=describe_target(environment.isa, platform.machine()),
        telemetry=_TELEMETRY,
        packages=list_packages(),
        file=advice,
    )
