"""Latency of every way to serve a model on this CPU, side by side.

Usage: python scripts/bench/latency.py FOLDER [--models M,...] [--seconds S] [--settings T/B,...]
                                            [--openvino PYTHON]

Each way runs in a process of its own; processes take turns of 10 ms, in blocks of fresh ones, as
``onnxq run`` measures. Ratios are to onnxruntime on the float model as it was converted, each with
its 95 % interval: CPU time of the calling thread at one thread, wall time at several. SQNR is that
of the first output on 16 held-out rows against the same float model.
"int" is the share of the multiply-adds that onnxruntime's integer kernels do.
``--openvino`` names an interpreter that has openvino and nncf.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine_processes import Interpreters, open_way, predict_rows, sqnr_db
from latency_subjects import SHAPES, Subject, make_subject
from latency_ways import Make, NotMadeError, Way, given, openvino, ort_dynamic, ort_static, ours
from latency_ways import pytorch as pytorch_ways

import onnxq
from onnxq.audits import RuntimeAudit
from onnxq.events import tell_nobody
from onnxq.profiling.latency import LatencyStudy, measure_latencies

_MB = 1e6


@dataclass(frozen=True)
class Setting:
    """How models are run.

    Attributes:
        threads: Inside one inference.
        batch_rows: Rows of it.
    """

    threads: int
    batch_rows: int

    def __str__(self) -> str:
        """Return what the table's heading says."""
        return f"{self.threads} thread{'s' * (self.threads > 1)}, batch {self.batch_rows}"


def main() -> None:
    """Print a table for each model."""
    asked = _parse()
    interpreters = Interpreters(asked.openvino)
    for name in asked.models.split(","):
        subject = make_subject(name, asked.folder)
        ways, failures = _make_ways(subject, asked.folder / name, interpreters)
        settings = [_setting(text) for text in asked.settings.split(",")]
        studies = [_measure(subject, ways, interpreters, one, asked.seconds) for one in settings]
        print(_table(subject, ways, interpreters, settings, studies))
        print("\n".join(f"{maker} failed: {why}" for maker, why in failures.items()), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default=",".join(SHAPES))
    parser.add_argument("--seconds", type=float, default=60.0, help="a model and setting")
    parser.add_argument("--settings", default="1/1,2/8", help="threads/batch")
    parser.add_argument("--openvino", default="", metavar="PYTHON")
    return parser.parse_args()


def _setting(text: str) -> Setting:
    threads, batch_rows = map(int, text.split("/"))
    return Setting(threads, batch_rows)


def _make_ways(
    subject: Subject, folder: Path, interpreters: Interpreters
) -> tuple[tuple[Way, ...], dict[str, str]]:
    makes: dict[str, Make] = {
        "fp32": given,
        "quantize_static": ort_static,
        "quantize_dynamic": ort_dynamic,
        "onnxq": ours,
        "PyTorch": pytorch_ways,
    }
    if interpreters.openvino:
        makes["OpenVINO"] = partial(openvino, python=interpreters.openvino)
    ways: list[Way] = []
    failures: dict[str, str] = {}
    for maker, make in makes.items():
        try:
            ways += make(subject, folder)
        except NotMadeError as error:
            failures[maker] = str(error)
    return tuple(ways), failures


def _measure(
    subject: Subject,
    ways: tuple[Way, ...],
    interpreters: Interpreters,
    setting: Setting,
    seconds: float,
) -> LatencyStudy:
    by_name = {way.name: way for way in ways}

    return measure_latencies(
        tuple(by_name),
        lambda name: open_way(by_name[name], subject, interpreters, setting.batch_rows),
        threads=(setting.threads,),
        batch_rows=setting.batch_rows,
        budget_s=seconds,
        tell=tell_nobody,
    )


def _table(
    subject: Subject,
    ways: tuple[Way, ...],
    interpreters: Interpreters,
    settings: list[Setting],
    studies: list[LatencyStudy],
) -> str:
    outputs = {way.name: predict_rows(way, subject, interpreters) for way in ways}
    heads = [head for one in settings for head in (f"ms, {one}", f"x, {one}")]
    lines = [
        f"{subject.name}",
        f"| way | {' | '.join(heads)} | MB | SQNR dB | int |  |",
        f"|---{'|---' * (len(heads) + 4)}|",
    ]
    for way in ways:
        cells = [
            cell
            for s, study in zip(settings, studies, strict=True)
            for cell in _cells(way, ways[0], s, study)
        ]
        size = f"{way.file_bytes / _MB:.2f}" if way.file_bytes else ""
        sqnr = "" if way is ways[0] else f"{sqnr_db(outputs[ways[0].name], outputs[way.name]):.1f}"
        share = _integer_share(way, subject)
        lines.append(
            f"| {way.name} | {' | '.join(cells)} | {size} | {sqnr} | {share} | {way.note} |"
        )
    return "\n".join(lines)


def _cells(way: Way, reference: Way, setting: Setting, study: LatencyStudy) -> tuple[str, str]:
    if way.name in study.dropped:
        return "", f"failed: {study.dropped[way.name]}"
    latency = next(one for one in study.latencies[way.name] if one.threads == setting.threads)
    clock = latency.cpu_ns if setting.threads == 1 else latency.wall_ns
    if way is reference:
        return f"{clock.value / 1e6:.3f}", "1"
    ratio = study.ratios(reference.name)[way.name][0].ratio
    return f"{clock.value / 1e6:.3f}", f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _integer_share(way: Way, subject: Subject) -> str:
    if way.engine != "onnxruntime":
        return ""
    audit = onnxq.inspect(way.model, data=str(subject.rows), runtime=True).audit
    return f"{audit.integer_ratio:.0%}" if isinstance(audit, RuntimeAudit) else ""


if __name__ == "__main__":
    main()
