"""``python -m onnxq`` and the installed command."""

import sys

from onnxq.cli.main import main as run_command


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code.
    """
    return run_command()


if __name__ == "__main__":
    sys.exit(main())
