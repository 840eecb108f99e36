"""How much memory this process may still take: of the machine, and of its container."""

from collections.abc import Iterator
from pathlib import Path

import psutil

FREE_SHARE = 0.5
"""Of what is free, where no cap was given."""

_OWN_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files of a control group, and what its cached files are called: version 2, version 1."""


def allowed_bytes(memory_bytes: int) -> int:
    """Return a cap on memory.

    Args:
        memory_bytes: As it was asked for; 0 takes half of what is free.
    """
    return memory_bytes or int(FREE_SHARE * free_bytes())


def free_bytes() -> int:
    """Return how much memory this process may still take: of the machine, and of its container."""
    return min(int(psutil.virtual_memory().available), _cgroup_bytes(_OWN_CGROUP, _CGROUPS))


def _cgroup_bytes(own: Path, root: Path) -> int:
    """Return what the control groups of this process leave it; that of the machine without any.

    Version 2 of control groups, and version 1 where its memory controller lies under ``memory``.

    Args:
        own: The file that names them, ``/proc/self/cgroup``.
        root: Where they are mounted.
    """
    total = int(psutil.virtual_memory().total)
    if not own.exists():
        return total
    lefts = [total]
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        top, names = (root, _V2) if not controllers else (root / "memory", _V1)
        folder = top / group.lstrip("/")
        folders = [one for one in (folder, *folder.parents) if one.is_relative_to(top)]
        lefts += [left for one in folders for left in _lefts(one, names)]
    return max(0, min(lefts))


def _lefts(folder: Path, names: tuple[str, str, str]) -> Iterator[int]:
    """Yield what a control group leaves, cached files not counted; nothing without a limit."""
    limit_file, used_file, inactive = names
    try:
        limit = (folder / limit_file).read_text(encoding="utf-8").strip()
        used = int((folder / used_file).read_text(encoding="utf-8"))
        figures = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    if limit != "max":
        cached = next((int(line.split()[1]) for line in figures if line.split()[0] == inactive), 0)
        yield int(limit) - used + cached
