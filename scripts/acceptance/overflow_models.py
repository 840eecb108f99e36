"""What int8 models are worth on a CPU without VNNI: made here, run here and under qemu-user.

Run by ``scripts/acceptance/overflow models``. Of each model there are two int8 variants: made for
x86-vnni, whose sums of two products may saturate elsewhere, and for x86. ``reduced`` is what
onnxruntime's own remedy comes to: half of the levels for every weight.
"""

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime

import onnxq
from onnxq.arrays import Array
from onnxq.graph.model_files import load_proto
from onnxq.quantization import channel_scales
from onnxq.quantization.pair_overflow import SAFE_SUM
from onnxq.quantization.saturation import find_products
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRanges
from onnxq.ranges_files import read_ranges_file
from onnxq.recipe_kinds import MeanSquaredError, StaticQdq
from onnxq.tunings import Tuning

EVALUATED_ROWS = 4
LARGEST = 127
VARIANTS = ("x86-vnni", "x86", "reduced")


def main() -> int:
    """Do one part: ``make FOLDER ROWS MODEL...``, ``run FOLDER KIND``, ``table FOLDER``."""
    part, folder, *rest = sys.argv[1:]
    if part == "make":
        for model in rest[1:]:
            make(Path(folder) / Path(model).stem, model, Path(rest[0]))
    elif part == "run":
        for one in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
            run(one, rest[0])
    else:
        print_table(Path(folder))
    return 0


def make(folder: Path, model: str, rows: Path) -> None:
    """Build the variants of a model, and set rows aside that it is not calibrated on."""
    folder.mkdir()
    with np.load(rows) as arrays:
        known = {name: arrays[name] for name in arrays.files}
    np.savez(folder / "rows.npz", **{n: a[-EVALUATED_ROWS:] for n, a in known.items()})
    np.savez(folder / "calib.npz", **{n: a[:-EVALUATED_ROWS] for n, a in known.items()})
    for target in ("x86-vnni", "x86"):
        out = folder / f"made-{target}"
        onnxq.quantize(
            model,
            calib=str(folder / "calib.npz"),
            recipe=("fp32", "int8"),
            target=target,
            out=str(out),
        )
        (made,) = out.glob("*.int8.onnx")
        made.rename(folder / f"{target}.onnx")
    (fp32,) = (folder / "made-x86").glob("*.fp32.onnx")
    (ranges,) = (folder / "made-x86").glob("*.ranges.json")
    reduce_all(fp32, ranges, folder / "reduced.onnx")
    fp32.rename(folder / "fp32.onnx")


def reduce_all(fp32: Path, ranges: Path, out: Path) -> None:
    """Build int8 with the same ranges, and 64 levels for all weights whatever they are."""
    ((method, chosen),) = read_ranges_file(ranges).sets.items()
    given = TensorRanges(method, chosen.ranges, kept_float=chosen.kept_float)
    recipe = StaticQdq(ranges=MeanSquaredError())
    with patch.object(channel_scales, "widen_for_pairs", halve_levels):
        quantize_static_qdq(fp32, out, recipe, given, tuning=Tuning(target="x86"))


def halve_levels(rows: Array, scales: Array) -> Array:  # noqa: ARG001 - the weights do not matter
    """Widen all scales by a bit."""
    widened: Array = scales * LARGEST / (SAFE_SUM // 2)
    return widened


def run(folder: Path, kind: str) -> None:
    """Run the variants of a model on this CPU, whichever it is, and keep their outputs.

    The float model, which all are compared with, is run natively alone: floats take hours there.
    """
    with np.load(folder / "rows.npz") as arrays:
        feeds = {name: arrays[name] for name in arrays.files}
    for variant in (*VARIANTS, *(["fp32"] if kind == "native" else [])):
        session = onnxruntime.InferenceSession(
            folder / f"{variant}.onnx", providers=["CPUExecutionProvider"]
        )
        first = [
            session.run(None, {name: array[at : at + 1] for name, array in feeds.items()})[0]
            for at in range(EVALUATED_ROWS)
        ]
        np.save(folder / f"{variant}.{kind}.npy", np.concatenate(first))


def signal_to_noise_db(expected: Array, found: Array) -> float:
    """Return how far outputs are from those of the float model."""
    noise = float(np.square(found - expected, dtype=np.float64).sum())
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / noise))


def print_table(folder: Path) -> None:
    """Print accuracy with VNNI and without, beside the pairs of weights that can overflow."""
    print("| model | made for | pairs that can overflow | with VNNI | without | same outputs |")
    print("|---|---|---|---|---|---|")
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        expected = np.load(one / "fp32.native.npy")
        for variant in VARIANTS:
            products = find_products(load_proto(one / f"{variant}.onnx"))
            pairs = sum(len(product.overflowing) for product in products)
            whole = sum(
                product.rows.shape[0] * -(-product.rows.shape[1] // 2) for product in products
            )
            native, emulated = (
                np.load(one / f"{variant}.{kind}.npy") for kind in ("native", "emulated")
            )
            fast, slow = (signal_to_noise_db(expected, found) for found in (native, emulated))
            same = "yes" if np.array_equal(native, emulated) else "no"
            print(
                f"| {one.name} | {variant} | {pairs} of {whole} | {fast:.1f} dB | {slow:.1f} dB "
                f"| {same} |"
            )


if __name__ == "__main__":
    sys.exit(main())
