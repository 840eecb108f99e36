"""What this machine is good for, what is installed, and what a file would need."""

import os
import platform
from pathlib import Path

from msgspec import Struct

from onnxq.cache_folders import default_cache_folder
from onnxq.events import Tell
from onnxq.file_advice import FileAdvice, advise_file
from onnxq.packages import Package, installed_version, list_packages
from onnxq.reports import Environment

_COUNTING = {
    "compiled": "values are counted by the compiled kernel",
    "numpy": "values are counted by NumPy; the compiled kernel, which is faster, was not built",
}
_TELEMETRY = "onnxruntime's is off in every process that onnxq starts; onnxq has none"


class NoFile(Struct, frozen=True, tag="none"):
    """No file was asked about."""


class Cache(Struct, frozen=True, kw_only=True):
    """What calibrations have left on this machine.

    Attributes:
        folder: Where they are kept unless another folder is named; it need not exist.
        size_bytes: Of all that lies there.
    """

    folder: str
    size_bytes: int


class Doctor(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        onnxq: Version.
        environment: The machine.
        target: What its kernels are good for, as a sentence.
        telemetry: What becomes of onnxruntime's telemetry, as a sentence.
        packages: Of the base, then of the extras.
        file: Advice about a file.
        counting: What calibration counts values with, as a sentence.
        cache: What is kept of calibrations.
    """

    onnxq: str
    environment: Environment
    target: str
    telemetry: str
    packages: tuple[Package, ...]
    file: FileAdvice | NoFile
    counting: str
    cache: Cache


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
    from onnxq.calibration.counting import counting_kind  # noqa: PLC0415 - numpy, late
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
        counting=_COUNTING[counting_kind()],
        cache=find_cache(),
    )


def find_cache() -> Cache:
    """Look at what is kept of calibrations; a file that goes away meanwhile counts as nothing."""
    folder = default_cache_folder()
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return Cache(folder=str(folder), size_bytes=sum(map(_size_bytes, paths)))


def _size_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
