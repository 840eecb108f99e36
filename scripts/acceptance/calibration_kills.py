"""Kill a long calibration at three points; resumed, it must come to the same bytes.

Usage: python scripts/acceptance/calibration_kills.py FOLDER [--rows N]
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from calibration_models import make_subject

CHECKPOINTS = (1, 2, 4)
"""How many checkpoints were written when it is killed, half a second after the last one."""


def main() -> int:
    """Calibrate undisturbed, then killed and resumed at each point; 1 if anything differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=700)
    asked = parser.parse_args()
    subject = make_subject("resnet18", asked.folder, asked.rows)
    (path,) = subject.rows.inputs.values()
    rows = asked.folder / "rows.npz"
    np.savez(rows, image=np.load(path))
    words = [
        *(sys.executable, "-m", "onnxq", "calibrate"),
        str(asked.folder / "resnet18" / "converted.onnx"),
        *("--calib", str(rows), "-q", "--json"),
    ]
    begun = time.monotonic()
    expected = finish(words, asked.folder / "whole", asked.folder / "cache-whole")
    seconds = time.monotonic() - begun
    print(f"undisturbed: {seconds:.1f} s, {expected['effort']['rows']} rows")
    return max(killed_and_resumed(words, asked.folder, count, expected) for count in CHECKPOINTS)


def killed_and_resumed(
    words: list[str], folder: Path, count: int, expected: dict[str, object]
) -> int:
    """Kill a calibration, run it again, and compare; 1 if anything differs."""
    out, cache = folder / f"killed{count}", folder / f"cache{count}"
    begun = time.monotonic()
    process = start(words, out, cache)
    await_checkpoints(cache, count)
    after = time.monotonic() - begun
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    left = [path.name for path in out.parent.glob(f"{out.name}*")]
    found = finish(words, out, cache)
    effort = found["effort"]
    same = found["files"] == expected["files"]
    print(
        f"killed after {after:.1f} s and {count} checkpoints, left behind: {left or 'nothing'}; "
        f"then {effort['origin']} in {effort['seconds']:.1f} s: "
        f"{'the same files' if same else 'OTHER FILES'}"
    )
    return int(not same)


def await_checkpoints(cache: Path, count: int) -> None:
    """Wait until an entry of the cache was written so many times, and half a second more."""
    written: set[int] = set()
    while len(written) < count:
        time.sleep(0.02)
        written |= {path.stat().st_mtime_ns for path in cache.rglob("statistics")}
    time.sleep(0.5)


def start(words: list[str], out: Path, cache: Path) -> "subprocess.Popen[bytes]":
    """Start a calibration in a process group of its own."""
    options = ["-o", str(out), "--cache-dir", str(cache)]
    return subprocess.Popen(  # noqa: S603 - our own command
        [*words, *options], stdout=subprocess.PIPE, start_new_session=True
    )


def finish(words: list[str], out: Path, cache: Path) -> dict[str, object]:
    """Run a calibration to its end, and return its document."""
    process = start(words, out, cache)
    document = process.communicate()[0]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words, document)
    decoded: dict[str, object] = json.loads(document)
    return decoded


if __name__ == "__main__":
    sys.exit(main())
