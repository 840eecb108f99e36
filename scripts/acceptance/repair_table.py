"""Repair the files of every maker, measure them, and check what the reports say.

Usage: python scripts/acceptance/repair_table.py FOLDER [--only GLOB] [--seconds S]

FOLDER is what scripts/bench/foreign/make.py made. Each file is repaired on the calibration rows,
from which ranges are taken that the file lacks. The float model, the given file and the repaired
one are then measured together, by onnxq profile, at one thread. What the report says of outputs is
checked by this script's own sessions. A row that breaks a promise, or whose file is refused, says
so, and makes exit code 1.

Times are CPU time at one thread, batch 1. ``outputs off``: those of the repaired file against the
given one's, with onnxruntime's optimizations off. ``equal steps``: those that left every bit as it
was, with optimizations off or on. ``unrounded``: SQNR to the given model without the rounding of
its activations, as the report has it. ``SQNR``: of the outputs as served, in dB, to the
float model's on rows that nobody calibrated on. ``integer kernels``: convolutions and matrix
products that onnxruntime runs on integers, of all.
"""

import argparse
import fnmatch
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import onnxq
from onnxq.documents import Profiled
from onnxq.stages.repairing import KernelCount

MUST = {
    ("ort-qdq", "resnet18"): 2.5,
    ("ort-qdq", "mobilenet_v2"): 1.6,
    ("ort-qdq", "bert_small"): 2.0,
}
"""Least ratio of the given file's time to that of the repaired one, lower end of the interval."""

HEADINGS = ("maker", "model", "fp32 ms", "given ms", "repaired ms",
            "over given, 95 %", "given over fp32", "repaired over fp32", "MB given", "MB repaired",
            "integer kernels given", "repaired", "outputs off", "equal steps",
            "unrounded given", "repaired", "SQNR given", "SQNR repaired",
            "remarks")  # fmt: skip
_JUDGED_ROWS = 16
_TIE = 0.98
_EQUAL_DB = 200.0

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Case:
    """A file of a maker.

    Attributes:
        maker: Who made it.
        model: What it was made of.
        given: The file.
        float_model: What it was made of, as a file.
        calibration: Rows to repair on.
        rows: Rows to judge on.
        inputs: Its inputs as ``--input`` declares them: what random integers may be.
    """

    maker: str
    model: str
    given: Path
    float_model: Path
    calibration: Path
    rows: Path
    inputs: tuple[str, ...]


def main() -> int:
    """Print a row for each maker, model and kind of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="GLOB on MAKER/MODEL")
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    broken = 0
    for case in cases(asked.folder.resolve()):
        if fnmatch.fnmatch(f"{case.maker}/{case.model}", asked.only):
            broken += told(case, asked.folder / "repaired", asked.seconds)
    return 1 if broken else 0


def cases(folder: Path) -> Iterator[Case]:
    """List the files that were made."""
    for given in sorted(folder.glob("*/*.onnx")):
        source = folder / given.stem
        if (source / "given.onnx").exists():
            yield Case(
                maker=given.parent.name,
                model=given.stem,
                given=given,
                float_model=source / "given.onnx",
                calibration=source / "calibration.npz",
                rows=source / "rows.npz",
                inputs=declared_inputs(source / "rows.npz"),
            )


def declared_inputs(rows: Path) -> tuple[str, ...]:
    """Declare integer inputs by the values that rows have."""
    with np.load(rows) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    return tuple(
        f"{name}:N{''.join(f'x{size}' for size in array.shape[1:])}:{array.dtype}:"
        f"{array.min()}..{array.max()}"
        for name, array in held.items()
        if array.dtype.kind == "i"
    )


def told(case: Case, folder: Path, seconds: float) -> bool:
    """Repair a file, print its row, and return whether a promise was broken."""
    out = folder / case.maker / f"{case.model}.onnx"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = onnxq.repair(
            str(case.given),
            calib=str(case.calibration),
            measure=False,
            out=str(out),
            overwrite=True,
        )
        profile = onnxq.profile(
            (case.given, case.float_model, out), threads=(1,), seconds=seconds, input=case.inputs
        )
    except onnxq.OnnxqError as error:
        print(f"| {case.maker} | {case.model} | {error.code}: {error} |", flush=True)
        return True
    given, source, repaired = (row for row in profile.rows if isinstance(row, Profiled))
    speed = repaired.speed[0].ratio
    kept = [step for step in done.steps if step.is_kept]
    wanted = _served(case, case.float_model)
    noise_db = _noise_db(case, out)
    remarks = _remarks(case, done, noise_db, speed.low)
    cells = (
        f"{case.maker} | {case.model} | {_ms(source):.2f} | {_ms(given):.2f} | {_ms(repaired):.2f}",
        f"{speed.value:.2f}x [{speed.low:.2f}, {speed.high:.2f}]",
        f"{_ms(source) / _ms(given):.2f}x | {_ms(source) / _ms(repaired):.2f}x",
        f"{done.size_before.file_bytes / 1e6:.1f} | {done.artefact.size.file_bytes / 1e6:.1f}",
        f"{_kernels(done.before)} | {_kernels(done.after)}",
        "equal" if noise_db >= _EQUAL_DB else f"{noise_db:.1f} dB",
        f"{sum(s.is_equal or s.is_equal_optimized for s in kept)} of {len(kept)}",
        f"{done.unrounded_db_before:.1f} | {done.unrounded_db:.1f}",
        f"{_sqnr_db(wanted, _served(case, case.given)):.1f}",
        f"{_sqnr_db(wanted, _served(case, out)):.1f}",
        "; ".join(remarks),
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    return bool(remarks)


def _ms(row: Profiled) -> float:
    return row.latencies[0].cpu_ns.value / 1e6


def _kernels(count: KernelCount) -> str:
    return f"{count.integer}/{count.integer + count.floats}"


def _served(case: Case, model: Path) -> NDArray[np.float64]:
    return _run(model, _load(case.rows, _JUDGED_ROWS))


def _remarks(case: Case, done: onnxq.Repair, noise_db: float, low: float) -> list[str]:
    """Name the promises that are broken."""
    kept = [step for step in done.steps if step.is_kept]
    must = MUST.get((case.maker, case.model), 0.0)
    promised = all(step.exactness == "bit-exact" and step.is_equal for step in kept)
    return [
        *(["the report says equal, and it is not"] if promised and noise_db < _EQUAL_DB else []),
        *([f"{low:.2f} < {must}"] if low < must else []),
        *([f"slower: {low:.2f}"] if low < _TIE else []),
    ]


def _noise_db(case: Case, out: Path) -> float:
    """Compare a repaired file with the given one, both as the specification has them."""
    rows = _load(case.rows, _JUDGED_ROWS)
    return _sqnr_db(_run(case.given, rows, plain=True), _run(out, rows, plain=True))


def _load(path: Path, count: int) -> Arrays:
    with np.load(path) as arrays:
        return {name: arrays[name][:count] for name in arrays.files}


def _run(model: Path, rows: Arrays, *, plain: bool = False) -> NDArray[np.float64]:
    """Return all outputs flattened; ``plain`` keeps onnxruntime from optimizing."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = {entry.name for entry in session.get_inputs()}
    outputs = session.run(None, {name: array for name, array in rows.items() if name in names})
    return np.concatenate([np.asarray(output, np.float64).ravel() for output in outputs])


def _sqnr_db(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    noise = float(np.sum((wanted - found) ** 2))
    return min(10 * np.log10(float(np.sum(wanted**2)) / noise), _EQUAL_DB) if noise else _EQUAL_DB


if __name__ == "__main__":
    sys.exit(main())
