"""Where measurements are made: the machine and the packages. No framework is imported."""

import math
import os
import platform
from pathlib import Path

import psutil

from onnxq.packages import list_packages
from onnxq.reports import Environment
from onnxq.targets import Target, detect_target

_CPUINFO = Path("/proc/cpuinfo")
_OWN_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_ISA = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "neon", "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip
_APPLE_ISA = ("asimd", "asimddp")
"""What every Apple CPU of the ARM kind has; macOS has no ``/proc/cpuinfo`` to tell it."""


def read_environment() -> Environment:
    """Describe the machine and the packages.

    Returns:
        The CPU, the instruction sets that matter to onnxruntime's kernels, the cores that this
        process may use, and versions of what is installed.
    """
    cpuinfo = _read_cpuinfo()
    return Environment(
        cpu=parse_cpu_name(cpuinfo) or platform.processor() or platform.machine(),
        isa=_isa(cpuinfo),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={one.name: one.version for one in list_packages() if one.version},
        load=psutil.getloadavg()[0],
    )


def own_target() -> Target:
    """Tell the kind of this machine's CPU."""
    return detect_target(_isa(_read_cpuinfo()), platform.machine())


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, and its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = read_quota_cores(_OWN_CGROUP, _CGROUPS)
    return allowed if math.isinf(quota) else max(1, min(allowed, math.ceil(quota)))


def read_quota_cores(own: Path, root: Path) -> float:
    """Return how many cores' worth of time the control groups (v2) of this process leave it.

    Args:
        own: The file that names them, ``/proc/self/cgroup``.
        root: Where they are mounted.

    Returns:
        The least quota of its group and those above; infinite where nothing limits it.
    """
    if not own.exists():
        return math.inf
    lines = own.read_text(encoding="utf-8").splitlines()
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    folder = root / group.lstrip("/")
    limits = [one / "cpu.max" for one in (folder, *folder.parents) if one.is_relative_to(root)]
    quotas = [parse_quota(one.read_text(encoding="utf-8")) for one in limits if one.exists()]
    return min(quotas, default=math.inf)


def parse_quota(text: str) -> float:
    """Parse ``cpu.max`` of a control group: a quota and a period, or ``max`` for no limit.

    Args:
        text: Such as ``150000 100000``.

    Returns:
        Cores' worth of time, such as 1.5; infinite without a limit.
    """
    quota, period = text.split()
    return math.inf if quota == "max" else int(quota) / int(period)


def parse_cpu_name(cpuinfo: str) -> str:
    """Return the first core's name in ``/proc/cpuinfo``; empty where it has none."""
    return _first_core(cpuinfo).get("model name", "")


def parse_isa(cpuinfo: str) -> tuple[str, ...]:
    """Return those of the first core's instruction sets that matter to onnxruntime's kernels."""
    facts = _first_core(cpuinfo)
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return tuple(name for name in _ISA if name in flags)


def _read_cpuinfo() -> str:
    return _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""


def _isa(cpuinfo: str) -> tuple[str, ...]:
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return _APPLE_ISA if is_apple else parse_isa(cpuinfo)


def _first_core(cpuinfo: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in cpuinfo.split("\n\n", 1)[0].splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) > 1}
