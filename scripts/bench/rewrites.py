"""What each rewrite is worth: a model quantized without it, and with it, side by side.

Usage: python scripts/bench/rewrites.py FOLDER [--only NAME,...] [--seconds S]

The models are those of ``latency.py``, and real ones of ``$ONNXQ_SHARED``. Times are of one thread
and batch 1, in processes that take turns, as there; the ratio is the time without the rewrite over
the time with it, with its 95 % interval. SQNR is that of the first output against the prepared
float model, and kernels are the nodes of the graph that onnxruntime really runs.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from engine_processes import ONNXRUNTIME, open_way, predict_rows, sqnr_db
from latency_subjects import Subject, make_subject
from latency_ways import Way

import onnxq
from onnxq.audits import RuntimeAudit
from onnxq.events import tell_nobody
from onnxq.profiling.latency import measure_latencies

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("ONNXQ_SHARED", ROOT.parent / "shared")).resolve()
_ROWS = 48


@dataclass(frozen=True)
class Case:
    """A rewrite, and a model that shows it.

    Attributes:
        rewrite: Its name.
        model: Of ``latency_subjects``, or a key of :data:`REAL`.
        recipe: Which quantizes it.
    """

    rewrite: str
    model: str
    recipe: str = "int8"


@dataclass(frozen=True)
class Real:
    """A model of ``$ONNXQ_SHARED``, on random rows: its speed is looked at alone.

    Attributes:
        path: Below the folder.
        shape: Of its input, without the batch axis.
    """

    path: str
    shape: tuple[int, ...]


REAL: dict[str, Real] = {
    "vww": Real("models/keras2_tinymlperf/vww_96.h5", (96, 96, 3)),
    "ad01": Real("models/keras2_tinymlperf/ad01.h5", (640,)),
    "ultraface": Real("models/ultraface/version-RFB-320.onnx", (3, 240, 320)),
}

CASES = (
    Case("fold-stem-columns", "resnet18"),
    Case("multiply-in-tiles", "resnet18"),
    Case("fold-stem-columns", "vww"),
    Case("align-channels", "ultraface"),
    Case("align-channels", "mobilenet_v3_small"),
    Case("requantize-hard-sigmoid", "mobilenet_v3_small"),
    Case("spread-gates", "mobilenet_v3_small"),
    Case("pool-spatial-mean", "mobilenet_v3_small"),
    Case("fold-affine", "ad01"),
    Case("read-floats-directly", "bert_small"),
    Case("order-gelu", "bert_small", "int8-dynamic"),
    Case("transpose-keys-once", "bert_small", "int8-dynamic"),
    Case("drop-nan-guards", "bert_small", "int8-dynamic"),
    Case("bound-attention-masks", "bert_small", "int8-dynamic"),
    Case("sum-before-layer-norm", "bert_small", "int8-dynamic"),
    Case("fuse-attention", "bert_small", "int8-dynamic"),
    Case("drop-zero-states", "lstm_tagger", "int8-dynamic"),
)


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=12.0)
    asked = parser.parse_args()
    wanted = {name for name in asked.only.split(",") if name}
    optional = {one.name for one in onnxq.rewrites() if one.is_optional}
    print("| rewrite | model | without, ms | with, ms | x | SQNR dB | kernels |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        if not wanted or case.rewrite in wanted:
            subject = _subject(case.model, asked.folder)
            print(_row(case, subject, asked, is_optional=case.rewrite in optional), flush=True)


def _subject(name: str, folder: Path) -> Subject:
    if name not in REAL:
        return make_subject(name, folder)
    home, real = folder / name, REAL[name]
    home.mkdir(parents=True, exist_ok=True)
    model, rows = home / "given.onnx", home / "rows.npz"
    if not model.exists():
        onnxq.convert(str(SHARED / real.path), out=str(model))
        fed = onnxq.inspect(str(model)).model.signature.inputs[0].name
        drawn = np.random.default_rng(0).random((_ROWS, *real.shape), np.float32)
        np.savez(rows, allow_pickle=False, **{fed: drawn})
    return Subject(name, model, rows, rows, "other")


def _row(case: Case, subject: Subject, asked: argparse.Namespace, *, is_optional: bool) -> str:
    named = (case.rewrite,)
    home = asked.folder / subject.model.parent.name
    usual, other = home / f"usual-{case.recipe}.onnx", home / f"{case.rewrite}-{case.recipe}.onnx"
    _quantize(case, subject, usual)
    _quantize(
        case,
        subject,
        other,
        rewrite=named if is_optional else (),
        skip_rewrite=() if is_optional else named,
    )
    without, taken = (usual, other) if is_optional else (other, usual)
    if without.read_bytes() == taken.read_bytes():
        return f"| {case.rewrite} | {subject.name} {case.recipe} | not applied | | | | |"
    ways = [Way(path.stem, "onnxruntime", str(path)) for path in (without, taken)]
    by_name = {way.name: way for way in ways}
    study = measure_latencies(
        tuple(way.name for way in ways),
        lambda name: open_way(by_name[name], subject, ONNXRUNTIME, 1),
        threads=(1,),
        batch_rows=1,
        budget_s=asked.seconds,
        tell=tell_nobody,
    )
    ms = [f"{study.latencies[way.name][0].cpu_ns.value / 1e6:.3f}" for way in ways]
    ratio = study.ratios(ways[0].name)[ways[1].name][0].ratio
    reference = predict_rows(_float(subject, home), subject, ONNXRUNTIME)
    decibels = [
        f"{sqnr_db(reference, predict_rows(way, subject, ONNXRUNTIME)):.1f}" for way in ways
    ]
    kernels = [_count_kernels(way, subject) for way in ways]
    cells = (
        f"{case.rewrite}",
        f"{subject.name} {case.recipe}",
        *ms,
        f"{ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f})",
        " to ".join(decibels),
        " to ".join(kernels),
    )
    return f"| {' | '.join(cells)} |"


def _quantize(
    case: Case,
    subject: Subject,
    out: Path,
    *,
    rewrite: tuple[str, ...] = (),
    skip_rewrite: tuple[str, ...] = (),
) -> None:
    if not out.exists():
        onnxq.quantize(
            str(subject.model),
            calib=str(subject.calibration),
            recipe=(case.recipe,),
            rewrite=rewrite,
            skip_rewrite=skip_rewrite,
            out=str(out),
        )


def _float(subject: Subject, home: Path) -> Way:
    out = home / "fp32.onnx"
    if not out.exists():
        rows = str(subject.calibration)
        onnxq.quantize(str(subject.model), calib=rows, recipe=("fp32",), out=str(out))
    return Way("fp32", "onnxruntime", str(out))


def _count_kernels(way: Way, subject: Subject) -> str:
    audit = onnxq.inspect(way.model, data=str(subject.rows), runtime=True).audit
    return str(audit.kernels) if isinstance(audit, RuntimeAudit) else "?"


if __name__ == "__main__":
    main()
