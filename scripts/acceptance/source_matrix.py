"""Convert every source of the matrix by ``onnxq convert --json``, and print a row for each.

Usage: python scripts/acceptance/source_matrix.py FOLDER [--only PATTERN] [--jobs N]
A cell is ok if onnxq's own proof holds, the outputs are those of the source's framework (the
oracle that make_sources.py stored), the batch is as free as the source's, and names are kept in
order; or if it is refused with the expected code. Anything else makes exit code 1.
"""

import argparse
import fnmatch
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from source_cells import Cell, cells
from source_models import ROOT
from source_oracles import by_name, relative_l2

from onnxq.documents import Conversion
from onnxq.errors import OnnxqError
from onnxq.reports import Parity
from onnxq.runtime import open_predict
from onnxq.tensors import Signature

HEADINGS = ("model", "source", "result", "max abs", "rel L2", "oracle", "batch", "opset",
            "runtime", "s", "said")  # fmt: skip
WIDTHS = (18, 22, 8, 8, 8, 8, 5, 5, 7, 4, 0)


class _Refused(msgspec.Struct):
    code: str
    message: str


class _Error(msgspec.Struct):
    error: _Refused


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        is_ok: Whether the cell is as it must be.
        words: One per heading.
    """

    is_ok: bool
    words: tuple[str, ...]


def main() -> int:
    """Print the matrix; 1 if a cell is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where make_sources.py wrote")
    parser.add_argument("--only", default="*", help="pattern on 'model kind'")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    options = parser.parse_args()
    chosen = [c for c in cells(options.folder) if fnmatch.fnmatch(c.label, options.only)]
    print(line(HEADINGS), flush=True)
    is_ok = True
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda cell: run_cell(cell, options.folder), chosen):
            print(line(row.words), flush=True)
            is_ok &= row.is_ok
    print(f"{len(chosen)} cells: {'all as they must be' if is_ok else 'NOT all as they must be'}")
    return int(not is_ok)


def line(words: tuple[str, ...]) -> str:
    """Lay out one line of the table."""
    return "  ".join(w.ljust(width) for w, width in zip(words, WIDTHS, strict=True)).rstrip()


def run_cell(cell: Cell, folder: Path) -> Row:
    """Convert one source, and look at what came."""
    out = folder / "out" / cell.label.replace(" ", "_").replace("/", "_")
    command = [sys.executable, "-W", "ignore"]
    if cell.is_live:
        script = str(Path(__file__).with_name("live_source.py"))
        command += [script, *cell.given, str(folder), str(out)]
    else:
        command += ["-m", "onnxq", "convert", *cell.given, "-o", str(out), "--json", "-q"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - our own command
    seconds = f"{time.monotonic() - start:.0f}"
    if done.returncode == 0:
        document = msgspec.json.decode(done.stdout, type=Conversion)
        return converted(cell, document, out, seconds)
    try:
        refused = msgspec.json.decode(done.stdout, type=_Error).error
    except msgspec.DecodeError:
        last = done.stderr.decode().strip().splitlines()[-1:]
        refused = _Refused("crashed", f"exit {done.returncode}: {' '.join(last)}")
    is_ok = refused.code == cell.refusal
    words = ("refused" if is_ok else "WRONG", *[""] * 6, seconds, f"{refused.code} ")
    told = " ".join(refused.message.split())
    return Row(is_ok, (cell.model, cell.kind, *words[:-1], words[-1] + told))


def converted(cell: Cell, document: Conversion, out: Path, seconds: str) -> Row:
    """Judge a conversion that succeeded."""
    faults = list(complaints(cell, document))
    distance = 0.0
    try:
        distance = from_oracle(cell, out / document.artefact.file, document.source.signature)
    except OnnxqError as error:
        faults.append(error.message)
    if not distance <= cell.limit:
        faults.append(f"{distance:.1e} from the oracle, limit {cell.limit:g}")
    parity = document.source.parity
    figures = ("-", "-")
    said = [finding.code for finding in document.findings]
    if isinstance(parity, Parity):
        largest = max(probe.max_abs_difference for probe in parity.probes)
        figures = (f"{largest:.1e}", f"{max(p.relative_l2 for p in parity.probes):.1e}")
    else:
        said.append(f"not compared: {parity.reason}")
    words = (
        cell.model,
        cell.kind,
        "WRONG" if faults else "ok",
        *figures,
        f"{distance:.1e}" if cell.oracle else "-",
        batch_of(document),
        str(document.source.opset),
        document.artefact.min_runtime,
        seconds,
        "; ".join([*faults, " ".join(said), document.source.quantized_already]).strip("; "),
    )
    return Row(not faults, words)


def complaints(cell: Cell, document: Conversion) -> list[str]:
    """Say what of a conversion is not as it must be."""
    signature, found = document.source.signature, []
    if cell.refusal:
        found.append(f"expected {cell.refusal}")
    for what, expected, specs in (
        ("inputs", cell.inputs, signature.inputs),
        ("outputs", cell.outputs, signature.outputs),
    ):
        names = tuple(spec.name for spec in specs)
        if expected and names != expected:
            found.append(f"{what} {', '.join(names)}, expected {', '.join(expected)}")
    if batch_of(document) != cell.batch:
        found.append(f"batch expected {cell.batch}")
    if cell.is_quantized != bool(document.source.quantized_already):
        found.append("quantization not recognised" if cell.is_quantized else "called quantized")
    if not isinstance(document.source.parity, Parity) and document.source.framework != "onnx":
        found.append("not proven")
    return found


def batch_of(document: Conversion) -> str:
    """Say how many rows the model takes: ``free`` where every input takes any number."""
    sizes = {spec.shape[0] if not spec.has_free_batch else "free"
             for spec in document.source.signature.inputs}  # fmt: skip
    return "/".join(map(str, sorted(sizes, key=str)))


def from_oracle(cell: Cell, model: Path, signature: Signature) -> float:
    """Run the model on the oracle's rows; relative L2 of the worst output, 0 without an oracle."""
    if cell.oracle is None:
        return 0.0
    path, prefix = cell.oracle
    with np.load(path) as stored:
        if prefix:
            inputs, outputs = {"x": stored[f"{prefix}x"]}, {"y": stored[f"{prefix}y"]}
        else:
            inputs = {key[3:]: stored[key] for key in stored if key.startswith("in:")}
            outputs = {key[4:]: stored[key] for key in stored if key.startswith("out:")}
    rows = None if cell.batch == "free" else int(cell.batch)
    given = by_name(inputs, [spec.name for spec in signature.inputs])
    names = [spec.name for spec in signature.outputs]
    dtypes = {spec.name: spec.dtype for spec in signature.inputs}
    feeds = {name: values[:rows].astype(dtypes[name]) for name, values in given.items()}
    found = open_predict(model)(feeds)
    return relative_l2({name: found[name] for name in names}, by_name(outputs, names))


if __name__ == "__main__":
    sys.exit(main())
