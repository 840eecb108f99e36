"""CPU time of ``onnxq --help`` and of ``import onnxq``: least of ten fresh interpreters."""

import os
import subprocess
import sys

LIMITS_S = {"--help": 0.2, "import": 0.15}
_TRIES = 10


def cpu_seconds(command: list[str]) -> float:
    """Return user and system time of one run of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"{command} failed with status {status}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print both figures beside their limits; 1 if one is broken."""
    commands = {
        "--help": [sys.executable, "-m", "onnxq", "--help"],
        "import": [sys.executable, "-c", "import onnxq"],
    }
    broken = False
    for name, command in commands.items():
        seconds = min(cpu_seconds(command) for _ in range(_TRIES))
        broken |= seconds > LIMITS_S[name]
        print(f"{name}: {seconds:.3f} s CPU (limit {LIMITS_S[name]} s)")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
