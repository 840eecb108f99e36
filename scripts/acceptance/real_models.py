"""Run ``onnxq run --json`` on the real models of ``$ONNXQ_SHARED`` and print what it found.

Usage: python scripts/acceptance/real_models.py FOLDER
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.measurements import Judged
from onnxq.reports import Measured, Parity, Report, report_from_json
from onnxq.runtime import open_predict

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("ONNXQ_SHARED", ROOT.parent / "shared")).resolve()
NETS = ROOT / "scripts" / "acceptance" / "nets.py"
TOLERANCE = 1e-4
CIFAR = "scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"


@dataclass(frozen=True)
class Case:
    """One model with its rows.

    Attributes:
        name: Of the case.
        model: What is given to ``onnxq run``.
        options: Its options.
        expected: The fp32 metric that the data's description states.
        reference: Key of the model in keras2_reference_io.npz; empty if it is not there.
        least_speedup: Of int8 at one thread, on a CPU with VNNI.
        least_shrinking: Size of fp32 over that of int8.
    """

    name: str
    model: str
    options: tuple[str, ...]
    expected: str
    reference: str = ""
    least_speedup: float = 0.0
    least_shrinking: float = 0.0


def cases() -> list[Case]:
    """Return the cases of the acceptance list."""
    models, data = SHARED / "models", SHARED / "data"
    keras = models / "keras2_tinymlperf"
    squeezenet = models / "pytorch_squeezenet_deepcomp"
    weights = squeezenet / "squeezenet1_0_deepcomp_torchvision_names.pth"
    return [
        Case(
            "ResNet-8",
            str(keras / "pretrainedResnet.h5"),
            ("--data", str(data / "cifar10_lossless_train4000.npz")),
            "93.0 % on lossless-train",
            "resnet8",
        ),
        Case(
            "VWW",
            str(keras / "vww_96.h5"),
            ("--data", str(data / "vww_coco_train128.npz"), "--preprocess", "zero-one"),
            "85.9 % on the 128",
            "vww",
        ),
        Case(
            "ResNet-20",
            f"{NETS}:resnet20",
            (
                *("--weights", str(models / "pytorch_cifar_resnet" / "resnet20-12fca82f.th")),
                *("--data", str(data / "cifar10_lossless_train4000.npz")),
                *("--preprocess", CIFAR),
            ),
            "99.8 % on lossless-train",
        ),
        Case(
            "SqueezeNet",
            f"{NETS}:squeezenet1_0",
            (
                *("--weights", str(weights)),
                *("--data", str(data / "imagenet500_even_256")),
                *("--classes", r"^(\d+)_"),
                *("--preprocess", "order=bgr,crop=227,scale=1,mean=104:117:123"),
            ),
            "62.4 % top-1 on the 500 photos",
            least_speedup=2.2,
            least_shrinking=3.5,
        ),
        Case(
            "UltraFace RFB-320",
            str(models / "ultraface" / "version-RFB-320.onnx"),
            (
                *("--data", str(data / "ultraface_imgs")),
                *("--preprocess", "resize=240x320,mean=127,std=128"),
            ),
            "no labels",
        ),
    ]


def main() -> int:
    """Run every case; 1 if one fails."""
    folder = Path(sys.argv[1])
    return max(run_case(case, folder / str(i)) for i, case in enumerate(cases()))


def run_case(case: Case, out: Path) -> int:
    """Run one case, on all rows and then with its recipes; 1 if something is not as it must be."""
    print(f"\n== {case.name}")
    whole = run_onnxq(case, out / "fp32", ("-r", "fp32", "--seconds", "1"))
    report = run_onnxq(case, out / "all", ())
    if whole is None or report is None:
        return 1
    fp32 = next(row for row in whole.variants if isinstance(row, Measured))
    print(f"fp32 over all rows: {describe(fp32)}; stated: {case.expected}")
    print_report(report)
    return max(check_reference(case, report, out / "all"), check_demands(case, report))


def run_onnxq(
    case: Case, out: Path, options: tuple[str, ...], *, quiet: bool = False
) -> Report | None:
    """Run onnxq; None, with what it said, if it failed."""
    command = [sys.executable, "-m", "onnxq", "run", case.model, *case.options, *options]
    start = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "-o", str(out), "--json", "-q"], capture_output=True, check=False
    )
    if not quiet:
        print(f"{time.monotonic() - start:.0f} s, exit {done.returncode}")
    if done.returncode:
        print(done.stdout.decode(), done.stderr.decode())
        return None
    return report_from_json(done.stdout, origin=case.name)


def check_demands(case: Case, report: Report) -> int:
    """Compare int8 with what the acceptance list demands of it; 1 if it falls short."""
    rows = {row.alias: row for row in report.variants if isinstance(row, Measured)}
    if not case.least_speedup:
        return 0
    speedup = rows["int8"].speed[0].ratio.value
    sizes = [rows[alias].artefact.size.file_bytes for alias in ("fp32", "int8")]
    shrinking = sizes[0] / sizes[1]
    print(f"int8: {speedup:.2f}x (at least {case.least_speedup}), {shrinking:.2f}x smaller")
    return int(speedup < case.least_speedup or shrinking < case.least_shrinking)


def print_report(report: Report) -> None:
    """Print the figures of the acceptance list."""
    parity = report.source.parity
    if isinstance(parity, Parity):
        worst = max(parity.probes, key=lambda probe: probe.relative_l2)
        batches = sorted({probe.batch_rows for probe in parity.probes})
        print(
            f"parity: {len(parity.probes)} probes at batches {batches}, largest difference "
            f"{max(p.max_abs_difference for p in parity.probes):.1e}, "
            f"relative L2 {worst.relative_l2:.1e}"
        )
    else:
        print(f"parity: {parity.reason}")
    print(f"data: {report.data}")
    for row in report.variants:
        print(describe(row) if isinstance(row, Measured) else f"{row}")
    print(f"verdict: {report.verdict.sentence} {report.verdict.detail}")


def describe(row: Measured) -> str:
    """Return one line about a candidate."""
    parts = [f"{row.alias}: {row.artefact.size.file_bytes} bytes"]
    if isinstance(row.quality, Judged):
        accuracy = row.quality.accuracy
        drop = accuracy.drop
        parts.append(f"{accuracy.metric} {accuracy.value.value:.4f}")
        parts.append(f"drop {drop.value:+.4f} ({drop.low:+.4f} to {drop.high:+.4f})")
    else:
        parts.append(f"{row.quality}")
    parts += [
        f"{s.threads} thread(s) {s.clock} {s.ratio.value:.3f}x "
        f"({s.ratio.low:.3f} to {s.ratio.high:.3f})"
        for s in row.speed
    ]
    quantized = f"{row.artefact.quantized_nodes}/{row.artefact.quantizable_nodes} nodes quantized"
    return "; ".join([*parts, quantized])


def check_reference(case: Case, report: Report, out: Path) -> int:
    """Compare the fp32 candidate with outputs that Keras 2 computed; 1 if they differ."""
    if not case.reference:
        return 0
    stored = np.load(SHARED / "models" / "keras2_reference_io.npz", allow_pickle=False)
    signature = report.source.signature
    fp32 = next(row for row in report.variants if isinstance(row, Measured))
    predict = open_predict(out / fp32.artefact.file)
    rows = stored[f"{case.reference}_x"].astype(np.float32)
    found = predict({signature.inputs[0].name: rows})[signature.outputs[0].name]
    difference = float(np.abs(found - stored[f"{case.reference}_y"]).max())
    print(f"largest difference from Keras 2's own outputs: {difference:.1e} (limit {TOLERANCE})")
    return int(difference > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
