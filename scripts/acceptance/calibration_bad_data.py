"""What is said of bad rows and bad weights, for each case of the test of bad data.

Usage: python scripts/acceptance/calibration_bad_data.py FOLDER
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx

import onnxq

CASES = Path(__file__).parents[2] / "tests" / "calibration" / "test_bad_data.py"


def main() -> int:
    """Quantize each case's model on its rows, and print what was found; 1 if nothing was."""
    folder = Path(sys.argv[1])
    module = load(CASES)
    missing = 0
    print("| case | code | about | what is said |")
    print("|---|---|---|---|")
    for number, (name, case) in enumerate(module.CASES.items()):
        model, rows = folder / f"bad{number}.onnx", folder / f"bad{number}.npz"
        onnx.save(case.proto, model)
        np.savez(rows, x=case.rows)
        done = onnxq.quantize(
            str(model),
            calib=str(rows),
            recipe="int8",
            out=str(folder / f"out{number}"),
            cache=False,
        )
        found = [one for one in done.findings if one.code == case.code]
        missing += not found
        for one in found[:1]:
            print(f"| {name} | {one.code} | {one.subject} | {one.message} |", flush=True)
    return min(missing, 1)


def load(path: Path) -> ModuleType:
    """Import a file that lies in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
