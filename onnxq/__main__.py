"""``python -m onnxq`` and the installed command."""

import sys

from onnxq.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
