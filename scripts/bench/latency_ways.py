"""How each way of serving a model is made: files, engines; what fails says why."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from latency_subjects import Subject
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static

import onnxq
from onnxq.reports import Measured, report_from_json

NNCF = Path(__file__).with_name("latency_nncf.py")
_RUN_SECONDS = 20.0


class NotMadeError(Exception):
    """A way cannot be had; the message says why."""


@dataclass(frozen=True)
class Way:
    """A model, ready to run.

    Attributes:
        name: For the table.
        engine: As ``latency_engine.py`` calls it.
        model: A file, or of torch a function's name.
        file_bytes: What it weighs; 0 where there is no file.
        note: What else there is to say.
    """

    name: str
    engine: str
    model: str
    file_bytes: int = 0
    note: str = ""


Make: TypeAlias = Callable[[Subject, Path], tuple[Way, ...]]


class Rows(CalibrationDataReader):  # type: ignore[misc]  # untyped base
    """Rows of an .npz, one by one, as onnxruntime's calibrators take them."""

    def __init__(self, path: Path) -> None:
        arrays = dict(np.load(path))
        count = len(next(iter(arrays.values())))
        self._rows = iter({n: a[i : i + 1] for n, a in arrays.items()} for i in range(count))

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next row."""
        return next(self._rows, None)


def given(subject: Subject, folder: Path) -> tuple[Way, ...]:  # noqa: ARG001 - one signature
    """Serve the converted float model as it is."""
    return (_of_file("ORT fp32", subject.model),)


def ort_static(subject: Subject, folder: Path) -> tuple[Way, ...]:
    """Quantize with ``quantize_static`` and its defaults."""
    out = folder / "ort-static.onnx"
    if not out.exists():
        source = Path(shutil.copy(subject.model, folder / "static-source.onnx"))
        _try(lambda: quantize_static(source, out, Rows(subject.calibration)), out)
    return (_of_file("quantize_static", out),)


def ort_dynamic(subject: Subject, folder: Path) -> tuple[Way, ...]:
    """Quantize with ``quantize_dynamic`` and its defaults."""
    out = folder / "ort-dynamic.onnx"
    if not out.exists():
        source = Path(shutil.copy(subject.model, folder / "dynamic-source.onnx"))
        _try(lambda: quantize_dynamic(source, out), out)
    return (_of_file("quantize_dynamic", out),)


def ours(subject: Subject, folder: Path) -> tuple[Way, ...]:
    """Let ``onnxq run`` choose; fp32 as we hand it over, int8, and what it names."""
    out = folder / "onnxq"
    if not out.exists():
        onnxq.run(
            str(subject.model),
            data=str(subject.rows),
            calib=str(subject.calibration),
            seconds=_RUN_SECONDS,
            threads=(1,),
            out=str(out),
        )
    report = report_from_json((out / "report.json").read_bytes(), origin=str(out))
    files = {
        row.alias: out / row.artefact.file for row in report.variants if isinstance(row, Measured)
    }
    named = report.verdict.alias or report.reference
    return tuple(
        _of_file(f"onnxq {alias}", path, "recommended" if alias == named else "")
        for alias, path in files.items()
    )


def openvino(subject: Subject, folder: Path, python: str) -> tuple[Way, ...]:
    """Serve by OpenVINO: float, and quantized by NNCF in an interpreter that has both."""
    out = folder / "openvino-int8.xml"
    if not out.exists():
        words = [python, *map(str, (NNCF, subject.model, subject.calibration, out))]
        done = subprocess.run(words, capture_output=True, check=False)  # noqa: S603 - ours
        if done.returncode:
            raise NotMadeError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    weights = out.with_suffix(".bin").stat().st_size
    return (
        Way("OpenVINO fp32", "openvino", str(subject.model), subject.model.stat().st_size),
        Way("OpenVINO int8 (NNCF)", "openvino", str(out), out.stat().st_size + weights),
    )


def pytorch(subject: Subject, folder: Path) -> tuple[Way, ...]:  # noqa: ARG001 - one signature
    """Serve CNNs by PyTorch: float, and quantized by its FX mode."""
    if subject.kind != "cnn":
        return ()
    return (
        Way("PyTorch fp32", "torch", subject.name),
        Way("PyTorch FX int8 (x86)", "torch-fx", subject.name),
    )


def _of_file(name: str, path: Path, note: str = "") -> Way:
    return Way(name, "onnxruntime", str(path), path.stat().st_size, note)


def _try(make: Callable[[], object], out: Path) -> None:
    try:
        make()
    except Exception as error:  # whatever a default raises is its result
        out.unlink(missing_ok=True)
        message = f"{type(error).__name__}: {str(error)[:80]}"
        raise NotMadeError(message) from error
