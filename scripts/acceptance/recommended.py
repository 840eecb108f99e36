"""What ``onnxq run`` recommends for every model of ``$ONNXQ_SHARED``, and whether that is fast.

Usage: python scripts/acceptance/recommended.py FOLDER [NAME ...]

Prints a row for each model: what is recommended, its measured speed at each thread count, its size
and its accuracy beside the float model's. Exit 1 if one that is recommended is slower than fp32.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from real_models import CIFAR, NETS, SHARED, Case, cases, run_onnxq

from onnxq.measurements import Compared, Judged
from onnxq.reports import Measured, Report

HERE = Path(__file__).parent
PHOTOS = SHARED / "data" / "ultraface_imgs"
FACES = ("--data", str(PHOTOS), "--preprocess", "resize=240x320,mean=127,std=128")


def main() -> int:
    """Run every case that is named, or all; 1 if one breaks the promise."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:]
    print("| model | recommended | speed (95 %) | smaller | accuracy beside fp32 | verdict |")
    print("|---|---|---|---|---|---|")
    chosen = [case for case in every_case(folder) if not wanted or case.name in wanted]
    return max(judge(case, folder / case.name.replace(" ", "-")) for case in chosen)


def every_case(folder: Path) -> list[Case]:
    """Return the cases of the acceptance list and the models that it does not have."""
    resnets = SHARED / "models" / "pytorch_cifar_resnet"
    ultraface = SHARED / "models" / "ultraface"
    keras = SHARED / "models" / "keras2_tinymlperf"
    cifar = ("--data", str(SHARED / "data" / "cifar10_jpegtest_A5000.npz"))
    deep = [
        Case(
            f"ResNet-{depth}",
            f"{NETS}:resnet{depth}",
            ("--weights", str(resnets / file), *cifar, "--preprocess", CIFAR),
            "",
        )
        for depth, file in ((32, "resnet32-d509ac18.th"), (56, "resnet56-4bfd9763.th"))
    ]
    slim = replace(
        cases()[-1], name="UltraFace slim", model=str(ultraface / "version-slim-320.onnx")
    )
    face = SHARED / "models" / "keras2_face" / "fer2013_mini_XCEPTION.119-0.65.hdf5"
    return [
        *cases(),
        *deep,
        slim,
        Case("UltraFace RFB pth", *_ultraface("rfb"), ""),
        Case("UltraFace slim pth", *_ultraface("slim"), ""),
        Case("mini XCEPTION", str(face), ("--data", _rows(folder, "miniX")), ""),
        Case("AD01", str(keras / "ad01.h5"), ("--data", _rows(folder, "ad01")), ""),
    ]


def _ultraface(name: str) -> tuple[str, tuple[str, ...]]:
    file = {"rfb": "RFB", "slim": "slim"}[name]
    weights = SHARED / "models" / "ultraface" / f"version-{file}-320.pth"
    return f"{HERE / 'ultraface_nets.py'}:{name}", ("--weights", str(weights), *FACES)


def _rows(folder: Path, name: str) -> str:
    """Write the 16 reference inputs of a Keras model, the only rows that there are of it."""
    stored = np.load(SHARED / "models" / "keras2_reference_io.npz", allow_pickle=False)
    path = folder / f"{name}.npz"
    np.savez(path, x=stored[f"{name}_x"])
    return str(path)


def judge(case: Case, out: Path) -> int:
    """Run a case and print its row; 1 if it failed, or what it recommends is slower than fp32."""
    report = run_onnxq(case, out, ("--overwrite",), quiet=True)
    if report is None:
        return 1
    rows = {row.alias: row for row in report.variants if isinstance(row, Measured)}
    named = rows.get(report.verdict.alias or report.reference)
    if named is None:
        print(f"| {case.name} | {report.verdict.alias} was not measured | | | | |")
        return 1
    print(_row(case, report, rows[report.reference], named), flush=True)
    return int(any(speed.ratio.high < 1 for speed in named.speed))


def _row(case: Case, report: Report, fp32: Measured, named: Measured) -> str:
    speed = "; ".join(
        f"{one.threads} thread(s) {one.ratio.value:.2f}x ({one.ratio.low:.2f}-{one.ratio.high:.2f})"
        for one in named.speed
    )
    smaller = fp32.artefact.size.file_bytes / named.artefact.size.file_bytes
    cells = (case.name, named.alias, speed, f"{smaller:.2f}x", _quality(fp32, named))
    return f"| {' | '.join(cells)} | {report.verdict.sentence} |"


def _quality(fp32: Measured, named: Measured) -> str:
    found, reference = named.quality, fp32.quality
    if isinstance(found, Judged) and isinstance(reference, Judged):
        drop = found.accuracy.drop
        return (
            f"{found.accuracy.value.value:.4f} of {reference.accuracy.value.value:.4f}, drop "
            f"{drop.value:+.4f} ({drop.low:+.4f} to {drop.high:+.4f})"
        )
    outputs = found.agreement.outputs if isinstance(found, Compared) else ()
    return ", ".join(f"{one.output} {one.sqnr_db:.1f} dB" for one in outputs) or "fp32 itself"


if __name__ == "__main__":
    sys.exit(main())
