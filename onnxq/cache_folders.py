"""Where onnxq keeps what is worth finding again, unless it is told another place."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "ONNXQ_CACHE_DIR"
"""Environment variable that names another folder; empty, it names none."""


def default_cache_folder() -> Path:
    r"""Return the folder of the cache; it is not made here.

    Returns:
        What ``ONNXQ_CACHE_DIR`` says; else ``onnxq`` in the user's cache folder, such as
        ``~/.cache/onnxq`` (``XDG_CACHE_HOME`` is followed), ``~/Library/Caches/onnxq`` or
        ``%LOCALAPPDATA%\onnxq\Cache``. Absolute.
    """
    named = os.environ.get(CACHE_VARIABLE, "")
    if named:
        return Path(named).absolute()
    return platformdirs.user_cache_path("onnxq", appauthor=False).absolute()
