"""The environment of a child: what it needs, and nothing that could leak or change its answers."""

import os
from pathlib import Path

_KEPT = frozenset({
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "LD_LIBRARY_PATH", "ONNXQ_SHARED",
})  # fmt: skip

_SET = {
    # Read by onnxruntime when it is imported: its official builds send telemetry by default.
    "ORT_DISABLE_TELEMETRY": "1",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "HF_HUB_OFFLINE": "1",
}


def child_environment(folder: Path) -> dict[str, str]:
    """Make the environment of a child: no proxies, no credentials, no ``PYTHON*``, no telemetry.

    Args:
        folder: The child's own folder; temporary files and the home of the frameworks lie there.

    Returns:
        The variables.
    """
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    private = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "KERAS_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
    }
    return kept | _SET | private
