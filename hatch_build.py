"""Builds the counting kernel into wheels and editable installs, where there is a C compiler.

Without one, or with ``HATCH_BUILD_NO_HOOKS=true``, the wheel is pure Python and works the same,
slower; see onnxq/calibration/counting.py, which also knows the names used here.
"""

import hashlib
import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "onnxq/calibration"
SOURCE = f"{FOLDER}/counting.c"
LIBRARY = f"{FOLDER}/_counting.so"
FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=default", "-Wl,-s")


class CountingKernel(BuildHookInterface[BuilderConfig]):
    """Compiles ``counting.c`` to a library that ctypes loads."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and make the wheel one for this platform.

        An editable install uses the working tree, so the library is left there; it is ignored by
        git, and in no archive.

        Args:
            version: ``standard`` or ``editable``.
            build_data: Hatchling's; what is to be shipped besides the package.
        """
        library = Path(self.root, LIBRARY)
        problem = compile_kernel(Path(self.root, SOURCE), library)
        if problem:
            self.app.display_warning(f"onnxq without its compiled kernel: {problem}")
            return
        if version != "editable":
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["artifacts"].append(f"/{LIBRARY}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"


def compile_kernel(source: Path, library: Path) -> str:
    """Compile the kernel.

    Args:
        source: ``counting.c``; a digest of it becomes part of the symbols' names.
        library: What to write; a running process may have the old one loaded, so it is replaced.

    Returns:
        Why there is none; empty where there is.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    fresh = library.with_suffix(f".{os.getpid()}")
    command = (
        *shlex.split(os.environ.get("CC", "cc")),
        *FLAGS,
        f"-DSOURCE={digest}",
        f"-o{fresh}",
        str(source),
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's compiler
    except OSError as error:
        return str(error)
    if done.returncode:
        return done.stderr.strip() or f"{command[0]} ended with {done.returncode}"
    fresh.replace(library)
    return ""
