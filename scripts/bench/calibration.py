"""What calibrating costs: onnxruntime's calibrators, ours, and the bare float model, side by side.

Usage: python scripts/bench/calibration.py FOLDER [--models M,...] [--rows N,...] [--ways W,...]
                                                [--rounds R] [--least-free GB]

Each cell is a fresh process; the ways of one model and number of rows follow each other, and all of
that is repeated R times; printed is the median over the rounds. ``bound`` runs the float model
alone on one thread: no calibration can cost less. ``ort-*`` are onnxruntime's calibrators as its
``quantize_static`` drives them; the histogram ones keep every activation, and are run only while
that fits into memory. ``ours-*`` count every value, ``sampled-*`` every 8th. SQNR is that of the
outputs of int8 models on held-out rows against the float model, all by the same quantizer: only
the ranges differ.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
from calibration_models import Subject, make_subject

from onnxq.arrays import Predict
from onnxq.quantization.static import quantize_static_qdq
from onnxq.range_methods import MinMax
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import StaticQdq
from onnxq.runtime import open_predict

CELL = Path(__file__).with_name("calibration_cell.py")
MODELS = ("resnet18", "mobilenetv2", "squeezenet", "bert")
ROWS = (8, 32, 128, 512)
WAYS = (
    "bound", "ort-minmax", "ort-percentile", "ort-entropy",
    "ours-minmax", "ours-percentile", "ours-mse", "ours-auto",
    "sampled-percentile", "sampled-mse",
)  # fmt: skip
_KEPT_BYTES_A_ROW = {"resnet18": 33e6, "mobilenetv2": 64e6, "squeezenet": 30e6, "bert": 40e6}
"""What onnxruntime's histogram calibrators keep of a row, measured: all float activations."""

_MIB = 2**20


@dataclass(frozen=True)
class Cell:
    """What a way took on a model and some rows, the median over the rounds.

    Attributes:
        way: Which.
        cpu_s: CPU time of all threads.
        wall_s: Wall time.
        peak_bytes: Highest resident size over that of before.
        sqnr_db: Of the outputs of the model quantized with these ranges; NaN for the bound.
    """

    way: str
    cpu_s: float
    wall_s: float
    peak_bytes: float
    sqnr_db: float


def main() -> None:
    """Run the benchmark and print a table for each model and number of rows."""
    asked = _parse()
    for name in asked.models.split(","):
        for rows in map(int, asked.rows.split(",")):
            subject = make_subject(name, asked.folder, rows)
            ways = [
                way for way in asked.ways.split(",") if _fits(way, name, rows, asked.least_free)
            ]
            cells = _measure(subject, asked.folder, ways, asked.rounds, rows)
            print(_table(name, rows, cells), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rows", default=",".join(map(str, ROWS)))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--least-free", type=float, default=4.0, help="GB that must stay free")
    return parser.parse_args()


def _fits(way: str, name: str, rows: int, least_free: float) -> bool:
    if way not in {"ort-percentile", "ort-entropy"}:
        return True
    return rows * _KEPT_BYTES_A_ROW[name] < psutil.virtual_memory().available - least_free * 1e9


def _measure(subject: Subject, folder: Path, ways: list[str], rounds: int, rows: int) -> list[Cell]:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(rounds):
            for way in ways:
                ranges = Path(scratch) / f"{way}.json"
                words = (sys.executable, CELL, folder, subject.name, way, str(rows), ranges)
                done = subprocess.run(words, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        reference = open_predict(subject.model.path)
        return [
            Cell(
                way=way,
                **{
                    key: statistics.median(one[key] for one in found[way])
                    for key in ("cpu_s", "wall_s", "peak_bytes")
                },
                sqnr_db=_sqnr_db(subject, Path(scratch) / f"{way}.json", reference),
            )
            for way in ways
        ]


def _sqnr_db(subject: Subject, ranges: Path, reference: Predict) -> float:
    """Quantize with ranges, and compare the first output with the float model's."""
    read = msgspec.json.decode(ranges.read_bytes(), type=TensorRanges)
    if not read.ranges:
        return float("nan")
    quantized = ranges.with_suffix(".onnx")
    quantized.unlink(missing_ok=True)
    quantize_static_qdq(Path(subject.model.path), quantized, StaticQdq(ranges=MinMax()), read)
    predict = open_predict(quantized)
    signal = noise = 0.0
    for row in range(len(next(iter(subject.held_out.values())))):
        inputs = {name: array[row : row + 1] for name, array in subject.held_out.items()}
        expected = next(iter(reference(inputs).values())).astype(np.float64)
        found = next(iter(predict(inputs).values())).astype(np.float64)
        signal += float((expected**2).sum())
        noise += float(((found - expected) ** 2).sum())
    return float(10.0 * np.log10(signal / noise))


def _table(name: str, rows: int, cells: list[Cell]) -> str:
    bound = next((cell for cell in cells if cell.way == "bound"), cells[0])
    lines = [
        f"{name}, {rows} rows",
        "| way | CPU s | of the bound | wall s | of the bound | MiB over the base | SQNR dB |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {cell.way} | {cell.cpu_s:.2f} | {cell.cpu_s / bound.cpu_s:.2f}x "
            f"| {cell.wall_s:.2f} | {cell.wall_s / bound.wall_s:.2f}x "
            f"| {cell.peak_bytes / _MIB:.0f} | {cell.sqnr_db:.2f} |"
            for cell in cells
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
