"""Run every recipe on four models of four kinds, and print a row for each recipe.

Usage: python scripts/acceptance/recipe_table.py FOLDER [--only PATTERN] [--seconds S]
A row is ok, with its metric, size and speed-up, or it says why not. A recipe that failed, or that
has no row, makes exit code 1.
"""

import argparse
import fnmatch
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from source_models import ROOT, SHARED

from onnxq.estimates import Estimate
from onnxq.measurements import Judged
from onnxq.reports import DataFacts, Failed, Measured, Report, Variant, report_from_json

RECIPES = ("int8", "int8-minmax", "int8-percentile", "int8-dynamic", "int16", "fp16",
           "int8-weights", "int4-weights")  # fmt: skip
CIFAR = "scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
HEADINGS = ("recipe", "metric", "drop in pp", "bytes", "smaller", "faster at 1 thread", "nodes",
            "runtime")  # fmt: skip
WIDTHS = (15, 27, 24, 8, 7, 22, 7, 7)


@dataclass(frozen=True)
class Case:
    """A model with its rows.

    Attributes:
        name: For a person.
        options: The model and its options, as ``onnxq run`` takes them.
    """

    name: str
    options: tuple[str, ...]


def cases() -> list[Case]:
    """List the four: a small CNN, a residual network, an encoder, an LSTM."""
    cifar = str(SHARED / "data/cifar10_jpegtest_A5000.npz")
    resnet20 = str(SHARED / "models/pytorch_cifar_resnet/resnet20-12fca82f.th")
    return [
        Case(
            "MNIST CNN",
            (
                "models/mnist_tutorial_keras/mnist_tutorial.keras",
                *rows("mnist", "test_rows", "calibration_rows"),
            ),
        ),
        Case(
            "ResNet-20",
            (
                *("scripts/acceptance/nets.py:resnet20", "--weights", resnet20),
                *("--input", "image:Nx3x32x32", "--data", cifar, "--preprocess", CIFAR),
            ),
        ),
        Case(
            "encoder",
            (
                *network("banking77_encoder_torch"),
                *("--input", "tokens:Nx32:int64:0..2047"),
                *rows("text", "banking77_test", "banking77_calibration"),
            ),
        ),
        Case(
            "LSTM",
            (
                *network("sst2_lstm_torch"),
                *("--input", "tokens:Nx32:int64:0..4095"),
                *rows("text", "sst2_test", "sst2_validation"),
            ),
        ),
    ]


def network(folder: str) -> tuple[str, ...]:
    """Name a trained PyTorch model of ours."""
    return f"models/{folder}/net.py:build", "--weights", f"models/{folder}/weights.pt"


def rows(module: str, test: str, calibration: str) -> tuple[str, ...]:
    """Name functions of models/ that load rows."""
    return "--data", f"models/{module}.py:{test}", "--calib", f"models/{module}.py:{calibration}"


def main() -> int:
    """Print a table a model; 1 if a row is neither ok nor explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="takes the output folders")
    parser.add_argument("--only", default="*", help="pattern on the models' names")
    parser.add_argument("--seconds", default="10", help="for measuring latency, for each model")
    options = parser.parse_args()
    chosen = [case for case in cases() if fnmatch.fnmatch(case.name, options.only)]
    return max(show(case, options.folder, options.seconds) for case in chosen)


def show(case: Case, folder: Path, seconds: str) -> int:
    """Run one model and print its table; 1 if it is not as it must be."""
    asked = [word for recipe in RECIPES for word in ("-r", recipe)]
    command = [sys.executable, "-m", "onnxq", "run", *case.options, *asked, "--seconds", seconds]
    out = str(folder / case.name.replace(" ", "_"))
    start = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--threads", "1", "-o", out, "--json", "-q"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    print(f"\n== {case.name}: exit {done.returncode} after {time.monotonic() - start:.0f} s")
    if done.returncode:
        print(done.stdout.decode(), done.stderr.decode())
        return 1
    report = report_from_json(done.stdout, origin=case.name)
    if isinstance(report.data, DataFacts):
        judged, calibrated = report.data.evaluation_rows, report.data.calibration_rows
        print(f"{judged} rows to judge on, {calibrated} to calibrate on")
    print(line(HEADINGS))
    for row in report.variants:
        print(line(measured(row, report)) if isinstance(row, Measured) else explained(row))
    print(f"verdict: {report.verdict.sentence} {report.verdict.detail}", flush=True)
    return int(is_incomplete(report))


def is_incomplete(report: Report) -> bool:
    """Tell whether a recipe failed or has no row."""
    missing = {"fp32", *RECIPES} - {row.alias for row in report.variants}
    failed = [row.alias for row in report.variants if isinstance(row, Failed)]
    print("".join(f"no row: {alias}\n" for alias in sorted(missing)), end="")
    return bool(missing or failed)


def line(words: tuple[str, ...]) -> str:
    """Lay out one line of a table."""
    return "  ".join(w.ljust(width) for w, width in zip(words, WIDTHS, strict=True)).rstrip()


def explained(row: Variant) -> str:
    """Say why a recipe has no figures."""
    reason = row.alias if isinstance(row, Measured) else " ".join(row.reason.split())
    code = f" {row.code}" if isinstance(row, Failed) else ""
    kind = row.__struct_config__.tag
    return f"{row.alias.ljust(WIDTHS[0])}  {kind}{code}: {reason}"


def measured(row: Measured, report: Report) -> tuple[str, ...]:
    """Put a row's figures into words."""
    artefact, quality = row.artefact, row.quality
    metric = drop = "-"
    if isinstance(quality, Judged):
        accuracy = quality.accuracy
        metric = f"{accuracy.metric} {interval(accuracy.value, '.4f')}"
        drop = interval(accuracy.drop, "+.2f", 100) if row.alias != report.reference else "-"
    first = next(r for r in report.variants if isinstance(r, Measured))
    smaller = first.artefact.size.file_bytes / artefact.size.file_bytes
    return (
        row.alias,
        metric,
        drop,
        str(artefact.size.file_bytes),
        f"{smaller:.2f}x",
        interval(row.speed[0].ratio, ".3f") if row.speed else "-",
        f"{artefact.quantized_nodes}/{artefact.quantizable_nodes}",
        artefact.min_runtime,
    )


def interval(estimate: Estimate, form: str, factor: float = 1) -> str:
    """Render an estimate with its interval."""
    value, low, high = (
        format(factor * v, form) for v in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low}..{high})"


if __name__ == "__main__":
    sys.exit(main())
