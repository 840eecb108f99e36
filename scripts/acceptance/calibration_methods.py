"""SQNR and accuracy of int8 by range method on five third-party models.

Usage: python scripts/acceptance/calibration_methods.py FOLDER [--only PATTERN]
"""

import argparse
import fnmatch
from pathlib import Path

from real_models import Case, cases, run_onnxq
from source_models import SHARED

from onnxq.measurements import Compared, Judged
from onnxq.reports import Measured, Variant

RECIPES = ("int8-minmax", "int8-percentile", "static-uint8-int8-perchannel-percentile99.9",
           "static-uint8-int8-perchannel-mse", "int8-auto")  # fmt: skip
DATA_OF = {
    # Lossless rows were trained on: the lossy test set shows what is lost.
    "ResNet-8": "cifar10_jpegtest_A5000.npz",
    "ResNet-20": "cifar10_jpegtest_A5000.npz",
}


def main() -> None:
    """Print a row for each model and method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*")
    asked = parser.parse_args()
    print("| model | method | metric | drop in pp (95 %) | SQNR dB of each output |")
    print("|---|---|---|---|---|")
    for case in cases():
        if fnmatch.fnmatch(case.name, asked.only):
            print_case(case, asked.folder)


def print_case(case: Case, folder: Path) -> None:
    """Run one model with all methods, and print its rows."""
    options = list(case.options)
    if case.name in DATA_OF:
        options[options.index("--data") + 1] = str(SHARED / "data" / DATA_OF[case.name])
    recipes = [word for recipe in RECIPES for word in ("-r", recipe)]
    report = run_onnxq(
        Case(case.name, case.model, tuple(options), ""),
        folder / case.name,
        (*recipes, "--seconds", "1", "--threads", "1"),
    )
    for row in report.variants if report else ():
        print(f"| {case.name} | {row.alias} | {describe(row)} |", flush=True)


def describe(row: Variant) -> str:
    """Return metric, drop and SQNR of a row."""
    if not isinstance(row, Measured) or not isinstance(row.quality, Judged | Compared):
        return f"{row} | | "
    agreement = row.quality.agreement
    sqnr = ", ".join(f"{one.output} {one.sqnr_db:.2f}" for one in agreement.outputs)
    if isinstance(row.quality, Compared):
        return f"none | | {sqnr}"
    accuracy = row.quality.accuracy
    drop = accuracy.drop
    return (
        f"{accuracy.metric} {accuracy.value.value:.2%} "
        f"| {100 * drop.value:+.2f} ({100 * drop.low:+.2f}..{100 * drop.high:+.2f}) | {sqnr}"
    )


if __name__ == "__main__":
    main()
