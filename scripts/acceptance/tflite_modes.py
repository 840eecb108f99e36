"""TFLite's five modes of the MNIST CNN, each beside our answer to it, on the same test rows.

Usage: python scripts/acceptance/tflite_modes.py FOLDER
Both sides calibrate on the same rows. Exit code 1 where a mode has no answer of ours, where ours
loses more than a point against TFLite's, or where the two disagree on more than a row in fifty.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from source_models import ROOT

from onnxq.integer_tensors import dequantize_outputs, quantize_feeds
from onnxq.reports import Measured, Report, report_from_json
from onnxq.runtime import open_predict

sys.path.insert(0, str(ROOT))

from models.mnist import test_rows

MODEL = "models/mnist_tutorial_keras/mnist_tutorial.keras"
ROWS = ("--data", "models/mnist.py:test_rows", "--calib", "models/mnist.py:calibration_rows")
MOST_LOST, LEAST_AGREEMENT = 0.01, 0.98
HEADINGS = ("mode", "TFLite bytes", "top1", "ours", "bytes", "top1", "runtime", "same top1",
            "SQNR dB", "max abs")  # fmt: skip
WIDTHS = (14, 12, 6, 26, 6, 6, 7, 9, 7, 7)


@dataclass(frozen=True)
class Answer:
    """What we offer for one of TFLite's modes.

    Attributes:
        mode: TFLite's.
        recipe: Ours.
        flags: Beside it.
    """

    mode: str
    recipe: str
    flags: tuple[str, ...] = ()


ANSWERS = (
    Answer("float", "fp32"),
    Answer("dynamic_range", "int8-weights"),
    Answer("full_integer", "int8", ("--io", "uint8", "--strict")),
    Answer("float16", "fp16"),
    Answer("int16x8", "int16"),
)


def main() -> int:
    """Print the table; 1 if a mode is not answered well."""
    folder = Path(sys.argv[1])
    maker = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("make_tflite_modes.py"))]
    subprocess.run([*maker, str(folder)], check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command
    rows = test_rows()
    images, digits = rows["image"].astype(np.float32), rows["y"].astype(np.int64)
    print(line(HEADINGS))
    bad = 0
    for flags in dict.fromkeys(answer.flags for answer in ANSWERS):
        alike = [answer for answer in ANSWERS if answer.flags == flags]
        out = folder / ("out" + "".join(flags))
        report = run([answer.recipe for answer in alike], flags, out)
        for answer in alike:
            bad |= show(answer, report, out, images, digits)
    return bad


def run(recipes: list[str], flags: tuple[str, ...], out: Path) -> Report:
    """Build and judge recipes."""
    asked = [word for recipe in recipes for word in ("-r", recipe)]
    command = [sys.executable, "-m", "onnxq", "run", MODEL, *ROWS, *asked, *flags]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--seconds", "2", "--threads", "1", "-o", str(out), "--json", "-q"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout.decode() + done.stderr.decode())
    return report_from_json(done.stdout, origin="run")


def show(
    answer: Answer,
    report: Report,
    out: Path,
    images: NDArray[np.float32],
    digits: NDArray[np.int64],
) -> int:
    """Print one mode; 1 if it is not answered well."""
    row = next(one for one in report.variants if one.alias == answer.recipe)
    if not isinstance(row, Measured):
        print(f"{answer.mode}: {row}")
        return 1
    theirs = np.load(out.parent / f"{answer.mode}.npy")
    ours = predict(row, out, images)
    accuracies = [float((logits.argmax(1) == digits).mean()) for logits in (theirs, ours)]
    agreement = float((theirs.argmax(1) == ours.argmax(1)).mean())
    noise = float(((theirs - ours) ** 2).sum())
    signal = float(((theirs - theirs.mean(0)) ** 2).sum())
    print(
        line((
            answer.mode,
            str((out.parent / f"{answer.mode}.tflite").stat().st_size),
            f"{accuracies[0]:.4f}",
            " ".join([answer.recipe, *answer.flags]),
            str(row.artefact.size.file_bytes),
            f"{accuracies[1]:.4f}",
            row.artefact.min_runtime,
            f"{agreement:.4f}",
            f"{10 * np.log10(signal / noise):.1f}",
            f"{np.abs(theirs - ours).max():.1e}",
        ))
    )  # fmt: skip
    return int(accuracies[1] < accuracies[0] - MOST_LOST or agreement < LEAST_AGREEMENT)


def predict(row: Measured, out: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run one of our files on rows; integers are taken and given as its report says."""
    io = row.artefact.io
    feeds = quantize_feeds({"image": images}, io)
    found = open_predict(out / row.artefact.file)(feeds)
    (logits,) = dequantize_outputs(found, io).values()
    return np.asarray(logits, np.float32)


def line(words: tuple[str, ...]) -> str:
    """Lay out one line of the table."""
    return "  ".join(w.ljust(width) for w, width in zip(words, WIDTHS, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
