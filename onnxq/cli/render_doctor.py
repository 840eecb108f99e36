"""The machine, its packages, and what a file would need, as text."""

from collections.abc import Iterable

from onnxq.cli.cells import size_text
from onnxq.cli.notes import Note
from onnxq.cli.render_parts import draw, notes_grid
from onnxq.cli.report_words import environment_text
from onnxq.cli.screen import Screen
from onnxq.doctoring import Doctor
from onnxq.file_advice import FileAdvice
from onnxq.packages import Package, install_command


def render_doctor(doctor: Doctor, screen: Screen) -> str:
    """Draw what the doctor found.

    Args:
        doctor: What was found.
        screen: Where it will be shown.

    Returns:
        The text, with a line feed at the end.
    """
    environment = doctor.environment
    python = f"onnxq {doctor.onnxq}, Python {environment.python}, {environment.system}"
    facts = {
        "version": python,
        "cpu": f"{environment_text(environment)}; load {environment.load:.1f}",
        "kernels": doctor.target,
        "packages": _packages(package for package in doctor.packages if not package.extra),
        **_extras(doctor.packages),
        "counting": doctor.counting,
        "cache": f"{doctor.cache.folder}: {size_text(doctor.cache.size_bytes)}",
        "telemetry": doctor.telemetry,
    }
    advice = _advice(doctor.file) if isinstance(doctor.file, FileAdvice) else {}
    grids = [notes_grid(screen, _facts(group)) for group in (facts, advice) if group]
    return draw(screen, grids)


def _facts(facts: dict[str, str]) -> list[Note]:
    return [Note(mark="", subject=name, text=text) for name, text in facts.items() if text]


def _packages(packages: Iterable[Package]) -> str:
    return " · ".join(
        f"{p.name} {p.version or 'missing'}{_brought_by(p.name, p.distributions)}" for p in packages
    )


def _brought_by(name: str, distributions: tuple[str, ...]) -> str:
    """Say what a package was installed as, where that is not its own name."""
    if len(distributions) > 1:
        return f" ({' and '.join(distributions)} overwrite each other: uninstall all but one)"
    return "".join(f" ({one})" for one in distributions if one != name)


def _extras(packages: tuple[Package, ...]) -> dict[str, str]:
    lines = {}
    for extra in dict.fromkeys(package.extra for package in packages if package.extra):
        own = [package for package in packages if package.extra == extra]
        missing = not all(package.version for package in own)
        command = f" → {install_command(extra)}" if missing else ""
        lines[f"[{extra}]"] = f"{_packages(own)}{command}"
    return lines


def _advice(advice: FileAdvice) -> dict[str, str]:
    megabytes = round(advice.disk_bytes / 1e6)
    return {
        "file": f"{advice.path}: {advice.file_kind}",
        "converts": _converts(advice),
        "needs": _needs(advice, megabytes),
        "trust": advice.trust_reason,
        "next": advice.advice,
    }


def _converts(advice: FileAdvice) -> str:
    """The file was not opened: a plain yes would promise what only its inside can tell."""
    if not advice.supported:
        return "no, not in this version"
    return f"yes, if {advice.condition}" if advice.condition else "yes"


def _needs(advice: FileAdvice, megabytes: int) -> str:
    if not advice.extra:
        return "nothing beside the base"
    if not advice.missing:
        return f"the extra {advice.extra}, which is installed"
    return (
        f"{', '.join(advice.missing)}: {advice.install}  (about {megabytes} MB on disk; with "
        "CUDA builds several GB)"
    )
