"""``--calib-rows auto`` against all rows: rows used, SQNR and accuracy, on real models.

Usage: python scripts/acceptance/calibration_settle.py FOLDER [--only PATTERN]
"""

import argparse
import fnmatch
from pathlib import Path

from calibration_methods import describe
from real_models import Case, cases, run_onnxq

from onnxq.calibrations import CalibrationEffort

METHODS = ("int8-minmax", "int8-percentile", "int8")


def main() -> None:
    """Print two rows for each model and method: all rows, and as many as settle the ranges."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*")
    asked = parser.parse_args()
    print("| model | method | rows asked for | rows used | metric | drop in pp | SQNR dB |")
    print("|---|---|---|---|---|---|---|")
    for case in cases():
        if fnmatch.fnmatch(case.name, asked.only):
            for method in METHODS:
                for rows in ("1000", "auto"):
                    print_row(case, asked.folder / f"{case.name}-{method}-{rows}", method, rows)


def print_row(case: Case, out: Path, method: str, rows: str) -> None:
    """Run one model with one method, and print what came of it."""
    options = ("-r", method, "--calib-rows", rows, "--seconds", "1", "--threads", "1")
    report = run_onnxq(case, out, options)
    if report is None or not isinstance(report.calibration, CalibrationEffort):
        print(f"| {case.name} | {method} | {rows} | failed |")
        return
    used = f"{report.calibration.rows} of {report.calibration.given_rows}"
    row = next(one for one in report.variants if one.alias == method)
    print(f"| {case.name} | {method} | {rows} | {used} | {describe(row)} |", flush=True)


if __name__ == "__main__":
    main()
