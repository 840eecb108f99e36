"""Make every kind of source of the matrix, in processes that load one framework each.

Usage: python scripts/acceptance/make_sources.py FOLDER
"""

import subprocess
import sys
from pathlib import Path

MAKERS = ("make_keras_sources.py", "make_torch_sources.py", "make_onnx_sources.py")
"""In this order: the last one starts from what PyTorch wrote."""


def main() -> None:
    """Run the makers; what they say is shown where one fails."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for maker in MAKERS:
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name(maker))]
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{maker} failed:\n{done.stdout}")
        print(f"{maker}: {done.stdout.count('made ')} models", flush=True)


if __name__ == "__main__":
    main()
