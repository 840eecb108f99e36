"""Make quantized files of every maker, each in an environment of its own.

Usage: python scripts/bench/foreign/make.py FOLDER [--makers M,...] [--models M,...]

Writes FOLDER/MAKER/NAME.onnx beside the float FOLDER/NAME/given.onnx and its rows; what is there
is taken as it is. Environments lie in FOLDER/environments. A maker that does not install, or that
fails, is told, with the file that has its last words, and the others go on; exit code 1 then.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from makers import ALL, MAKERS, Maker

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from latency_subjects import make_subject  # noqa: E402 - found by the line above

_MOST_SECONDS = 900


@dataclass(frozen=True)
class MakingError(Exception):
    """A command failed.

    Attributes:
        log: What it said.
    """

    log: Path


def main() -> int:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--makers", default=",".join(MAKERS))
    parser.add_argument("--models", default=",".join(ALL))
    asked = parser.parse_args()
    failures = 0
    for name in asked.makers.split(","):
        models = [one for one in asked.models.split(",") if one in MAKERS[name].models]
        failures += sum(not _told(asked.folder.resolve(), name, model) for model in models)
    return 1 if failures else 0


def _told(folder: Path, name: str, model: str) -> bool:
    try:
        out = make_file(folder, name, model)
    except MakingError as error:
        print(f"{name} {model}: failed, see {error.log}")
        return False
    print(f"{name} {model}: {out.stat().st_size / 1e6:.2f} MB")
    return True


def make_file(folder: Path, name: str, model: str) -> Path:
    """Let a maker quantize a model.

    Args:
        folder: Of everything that is made.
        name: Of the maker.
        model: Of a function in nets.py.

    Returns:
        The file.

    Raises:
        MakingError: If its environment cannot be made, or the maker fails.
    """
    maker, subject = MAKERS[name], make_subject(model, folder)
    out = folder / name / f"{model}.onnx"
    if out.exists():
        return out
    out.parent.mkdir(exist_ok=True)
    python = _environment(folder, maker)
    words = (HERE / maker.script, subject.model, subject.calibration, out, "--style", maker.style)
    try:
        _run([python, *words], out.with_suffix(".log"))
    except MakingError:
        out.unlink(missing_ok=True)
        raise
    return out


def _environment(folder: Path, maker: Maker) -> Path:
    """Return the interpreter that a maker's script runs in."""
    if not maker.requirements:
        return Path(sys.executable)
    home = folder / "environments" / maker.requirements.removesuffix(".txt")
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        home.parent.mkdir(exist_ok=True)
        _run([sys.executable, "-m", "venv", home], home.with_suffix(".log"))
        pip = [python, "-m", "pip", "install", "--requirement", HERE / maker.requirements]
        _run(pip, home.with_suffix(".log"))
        done.touch()
    return python


def _run(words: Sequence[str | Path], log: Path) -> None:
    with log.open("w", encoding="utf-8") as file:
        try:
            done = subprocess.run(  # noqa: S603 - this repository's scripts and environments
                words, stdout=file, stderr=file, check=False, timeout=_MOST_SECONDS, cwd=log.parent
            )
        except subprocess.TimeoutExpired as error:
            raise MakingError(log) from error
    if done.returncode:
        raise MakingError(log)


if __name__ == "__main__":
    sys.exit(main())
