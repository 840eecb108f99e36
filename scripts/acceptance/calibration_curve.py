"""Resident size while a model is calibrated on many rows; it must not grow with them.

Usage: python scripts/acceptance/calibration_curve.py FOLDER [--model NAME] [--rows N]
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from calibration_models import make_subject

from onnxq.calibration.calibrating import calibrate
from onnxq.datasets.values import CalibrationSet
from onnxq.events import Event, Progressed
from onnxq.recipe_kinds import ALIASES, StaticQdq
from onnxq.stages import CalibrateRequest, RangesAsked

_MIB = 2**20
_POINTS = 20


def main() -> None:
    """Calibrate, and print the resident size over that of before at points of the way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mobilenetv2")
    parser.add_argument("--rows", type=int, default=2000)
    asked = parser.parse_args()
    subject = make_subject(asked.model, asked.folder, asked.rows)
    recipe = ALIASES["int8"]
    if not isinstance(recipe, StaticQdq):
        raise TypeError(recipe)
    process, base = psutil.Process(), psutil.Process().memory_info().rss
    peak, begun, stop = [0], time.monotonic(), threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss - base)

    def tell(event: Event) -> None:
        if isinstance(event, Progressed) and event.done % max(1, event.total // _POINTS) == 0:
            seconds = time.monotonic() - begun
            print(f"| {event.done} | {seconds:.1f} | {peak[0] / _MIB:.0f} |", flush=True)
            peak[0] = 0

    print(f"{asked.model}: rows, seconds, MiB over the base since the row above")
    print("|---|---|---|")
    threading.Thread(target=watch, daemon=True).start()
    request = CalibrateRequest(
        model=subject.model,
        rows=CalibrationSet(subject.rows),
        asked=(RangesAsked(recipe=recipe),),
        threads=2,
    )
    effort = calibrate(request, asked.folder, tell).effort
    stop.set()
    print(
        f"predicted {effort.predicted_peak_bytes / _MIB:.0f} MiB, "
        f"was {effort.peak_bytes / _MIB:.0f} MiB; predicted {effort.predicted_seconds:.1f} s, "
        f"was {effort.seconds:.1f} s; {effort.passes} pass"
    )


if __name__ == "__main__":
    main()
