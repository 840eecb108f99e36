"""What the report says in words around its table: what ran, on what, and what comes next."""

import shlex
from collections.abc import Mapping, Sequence

from onnxq.cli.cells import duration
from onnxq.cli.charset import text_columns
from onnxq.cli.following import inserted, without_option
from onnxq.reports import (
    DataFacts,
    Environment,
    Measured,
    NoData,
    Parity,
    Report,
    SourceFacts,
    Verdict,
)
from onnxq.wording import count_noun

_VERSIONS_SHOWN = ("onnxruntime", "onnx")


def command_text(command: Sequence[str]) -> str:
    """Write a command as it can be pasted into a shell."""
    return shlex.join(command)


def command_lines(before: str, command: Sequence[str], columns: int) -> tuple[str, ...]:
    """Write a command so that it can be pasted where it takes several lines, too.

    Args:
        before: What stands before it on its first line.
        command: Its words.
        columns: Of the screen.

    Returns:
        Lines; each but the last one ends in a backslash.
    """
    lines = [before]
    for place, word in enumerate(map(shlex.quote, command)):
        end = "" if place == len(command) - 1 else " \\"
        if place and text_columns(f"{lines[-1]} {word}{end}") > columns:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}" if place else word
    return tuple(lines)


def header_lines(report: Report) -> tuple[str, ...]:
    """Say what was run and where: versions, machine, model, rows."""
    return (
        versions_text(report.onnxq, report.environment),
        f"{environment_text(report.environment)} · {_batch(report)}",
        source_text(report.source),
        data_text(report.data),
        *preprocess_lines(report.data),
    )


def versions_text(onnxq: str, environment: Environment) -> str:
    """Write the versions that figures depend on most."""
    packages = environment.packages
    known = [f"{name} {packages[name]}" for name in _VERSIONS_SHOWN if name in packages]
    return " · ".join([f"onnxq {onnxq}", *known])


def environment_text(environment: Environment) -> str:
    """Write the machine as ``AMD EPYC 9B14, 2 cores, AVX2 AVX512-VNNI``."""
    isa = " ".join(name.upper().replace("_", "-") for name in environment.isa)
    cores = count_noun(environment.cores, "core")
    return ", ".join(filter(None, (environment.cpu, cores, isa)))


def _batch(report: Report) -> str:
    inputs = ", ".join(map(str, report.source.signature.inputs))
    rows = {
        latency.batch_rows
        for variant in report.variants
        if isinstance(variant, Measured)
        for latency in variant.latencies
    }
    batch = f"batch {' and '.join(map(str, sorted(rows)))} of " if rows else ""
    return f"{batch}{inputs}"


def runtimes_text(by_alias: Mapping[str, str]) -> str:
    """Say which onnxruntime models need; those that need a later one than most are named.

    Args:
        by_alias: The lowest version that loads each model; an empty one is not known.

    Returns:
        A sentence; empty where nothing is known.
    """
    known = {alias: runtime for alias, runtime in by_alias.items() if runtime}
    if not known:
        return ""
    least = min(known.values(), key=_version)
    later = [f"{alias} {runtime}" for alias, runtime in known.items() if runtime != least]
    rest = f"; {', '.join(later)}" if later else ""
    return f"The models need onnxruntime {least} or later{rest}."


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def source_text(source: SourceFacts) -> str:
    """Write the model, what exported it, and whether the export computes the same."""
    return f"{exporter_text(source)}; {parity_text(source)}"


def exporter_text(source: SourceFacts) -> str:
    """Write the model, and what exported it."""
    exporter = "" if source.framework == "onnx" else f" exported by {source.exporter}"
    opset = "" if "opset" in exporter else f", opset {source.opset}"
    return f"{source.given} ({source.framework}){exporter}{opset}"


def parity_text(source: SourceFacts) -> str:
    """Write whether the export computes what the source computes, and how that is known."""
    match source.parity:
        case Parity(probes=probes) if probes:
            worst = max(probe.max_abs_difference for probe in probes)
            return (
                f"equal to the source within {worst:.1e} ({count_noun(len(probes), 'comparison')})"
            )
        case Parity():
            return "nothing to compare with the source"
        case unchecked:
            return f"not compared with the source: {unchecked.reason}"


def data_text(data: DataFacts | NoData) -> str:
    """Write how many rows stand behind the figures, and of what kind."""
    if isinstance(data, NoData):
        return "no rows were given: nothing is calibrated, and outputs are not judged"
    origin = data.calibration_spec or "kept apart from them"
    calibration = (
        f" · {count_noun(data.calibration_rows, 'row')} for calibration, {origin}"
        if data.calibration_rows
        else ""
    )
    return f"{rows_text(data)}{calibration}"


def calibration_rows_text(data: DataFacts) -> str:
    """Write how many rows ranges are calibrated on, and which."""
    rows = count_noun(data.calibration_rows, "row")
    return f"{rows} of {data.calibration_spec or data.spec}, seed {data.seed}"


def rows_text(data: DataFacts) -> str:
    """Write how many rows models were judged on, and of what kind."""
    judged = count_noun(data.evaluation_rows, "labelled row" if data.labelled else "row")
    return f"{judged} of {data.spec}, seed {data.seed}"


def preprocess_lines(data: DataFacts | NoData) -> tuple[str, ...]:
    """Write how images became rows, as ``--preprocess`` takes it; nothing where none did."""
    if isinstance(data, NoData) or not data.preprocess:
        return ()
    return (f"preprocess {data.preprocess}",)


def seconds_text(seconds: Mapping[str, float], total: float) -> str:
    """Write the wall time in all, and that of the stages, longest first."""
    stages = sorted(seconds.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{name} {duration(spent)}" for name, spent in stages)
    return f"{duration(total)}{f': {parts}' if parts else ''}"


def wrote_text(out: str, files: Sequence[str]) -> str:
    """Write what lies where: a folder with its files, a file, or nothing."""
    if not files:
        return "Wrote nothing."
    return f"Wrote {out}" if is_model_file(out) else f"Wrote {out.rstrip('/')}/  {', '.join(files)}"


def is_model_file(out: str) -> bool:
    """Return whether an output is named as one file, not as a folder."""
    return out.endswith(".onnx")


def path_in(out: str, file: str) -> str:
    """Return where a file lies that was written to an output."""
    return out if is_model_file(out) else f"{out.rstrip('/')}/{file}"


def next_step(report: Report, out: str) -> tuple[str, tuple[str, ...]]:
    """Return what to do next, in words, and as a command; both empty where nothing is left."""
    files = {v.alias: v.artefact.file for v in report.variants if isinstance(v, Measured)}
    file = files.get(report.verdict.alias, "")
    again = report.command
    if report.interrupted:
        return "", again
    if isinstance(report.data, NoData):
        return "the same with rows of yours: ", inserted(again, ("--data", "val.npz"))
    match report.verdict.kind:
        case "ship":
            return "", ("onnxq", "inspect", f"{out}/{file}")
        case "cannot_tell":
            return _settling(report.verdict, again)
        case "no_labels":
            return "the same with labels (an array y in the .npz, or one folder a class)", ()
        case _:
            return "", ()


def _settling(verdict: Verdict, again: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return what settles a verdict that could not tell."""
    if verdict.threads:
        counted = ("--threads", str(verdict.threads))
        words = inserted(without_option(again, "--threads"), counted)
        return "the same for the threads that you serve with: ", words
    more = "the same with more labelled rows: " if verdict.alias else "the same again: "
    return more, again
