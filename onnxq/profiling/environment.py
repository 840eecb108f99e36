"""Where measurements are made: the machine and the packages. No framework is imported."""

import os
import platform
from pathlib import Path

import psutil

from onnxq.events import Tell
from onnxq.packages import list_packages
from onnxq.reports import Environment
from onnxq.stages import EnvironmentRequest, EnvironmentResult

_CPUINFO = Path("/proc/cpuinfo")
_ISA = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "neon", "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip


def describe_environment(
    request: EnvironmentRequest,  # noqa: ARG001 - the signature of a stage
    folder: Path,  # noqa: ARG001
    tell: Tell,  # noqa: ARG001
) -> EnvironmentResult:
    """Describe the machine and the packages, as a stage."""
    return EnvironmentResult(environment=read_environment())


def read_environment() -> Environment:
    """Describe the machine and the packages.

    Returns:
        The CPU, the instruction sets that matter to onnxruntime's kernels, and versions.
    """
    facts = _cpu_facts()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return Environment(
        cpu=facts.get("model name", "") or platform.processor() or platform.machine(),
        isa=tuple(name for name in _ISA if name in flags),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={one.name: one.version for one in list_packages() if one.version},
        load=psutil.getloadavg()[0],
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_facts() -> dict[str, str]:
    """Return what Linux says of the first core; nothing elsewhere."""
    if not _CPUINFO.exists():
        return {}
    first = _CPUINFO.read_text(encoding="utf-8").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
