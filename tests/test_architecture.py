"""Floors and doors, checked over the syntax trees; what an import costs, measured."""

import ast
import graphlib
import os
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "onnxq"

FLOORS: dict[int, tuple[str, ...]] = {
    8: ("__init__", "__main__"),
    7: ("cli", "_worker"),
    6: ("verbs",),
    5: ("pipeline", "artefact_gates", "snippets", "doctoring"),
    4: (
        "conversion", "preparation", "preparation_proofs", "calibration", "quantization",
        "profiling", "inspecting",
        "data_fit", "estimating", "scope_checks",
    ),
    3: ("graph", "runtime", "isolation", "datasets"),
    2: (
        "models", "datasets.values", "reports", "documents", "verdict", "stages", "options",
        "source_parsing", "source_refusals",
        "file_advice", "interruption",
    ),
    1: (
        "tensors", "recipe_kinds", "sources", "targets", "tunings", "presets", "measurements",
        "audits", "ranges",
        "calibrations", "findings",
        "range_methods", "tensor_uses", "scopes", "recipe_facts", "rewrite_facts",
        "recipe_files", "refused_recipes",
        "toml_tables",
        "integer_tensors", "twins", "events",
        "packages", "providers", "side_files", "cache_folders", "ranges_files",
        "given_ranges",
        "sniffing", "user_code", "metric_choices",
    ),
    0: (
        "errors", "codes", "estimates", "wording", "arrays", "distributions", "noninferiority",
        "paired_proportions", "resampling", "corpus_estimates", "minimum_cut",
    ),
}  # fmt: skip
"""A unit is a module or a package; it may import units of its floor and of lower ones, and no two
units may import each other, not even by way of others."""

DOORS: dict[str, tuple[str, ...]] = {
    "onnx": (
        "graph/*", "conversion/*", "quantization/*", "preparation.py", "preparation_proofs.py",
        "calibration/blocked_layout.py", "calibration/probing.py", "calibration/exposure.py",
        "calibration/collection.py",
    ),
    "onnxruntime": ("runtime.py", "quantization/*", "calibration/reader.py"),
    "onnxslim": ("preparation.py",),
    "torch": ("conversion/from_torch*.py", "conversion/from_keras_torch.py"),
    "tensorflow": ("conversion/from_keras*.py", "conversion/from_saved_model*.py"),
    "keras": ("conversion/from_keras*.py",),
    "tf2onnx": ("conversion/from_keras*.py", "conversion/from_tflite*.py"),
    "h5py": ("conversion/*",),
    "PIL": ("datasets/images.py",),
    "pyarrow": ("datasets/arrow_files.py",),
    "datasets": (),
    "psutil": ("profiling/environment.py", "isolation/*", "calibration/*"),
    "rich": ("cli/render*.py", "cli/progress.py"),
    "click": ("cli/*",),
    "scipy": (),
    "sklearn": (),
}  # fmt: skip
"""Where a package may be imported; a door imports it plainly, at its top."""

FOREIGN = ("onnx", "onnxruntime", "onnxslim", "torch", "tensorflow", "keras", "tf2onnx", "h5py")
"""What parses foreign models: the parent process never loads it."""


@dataclass(frozen=True)
class Import:
    """An import statement of our package: ``file`` imports ``module`` in line ``line``."""

    file: str
    line: int
    module: str
    is_at_top: bool

    def __str__(self) -> str:
        return f"onnxq/{self.file}:{self.line} imports {self.module}"


def all_imports() -> list[Import]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nested = {
            inner
            for outer in ast.walk(tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for inner in ast.walk(outer)
        }
        file = path.relative_to(PACKAGE).as_posix()
        found += [
            Import(file, node.lineno, module, node not in nested)
            for node in ast.walk(tree)
            for module in imported_modules(node)
        ]
    return found


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        module = node.module or ""
        # ``from onnxq import verbs`` imports a module, ``from onnxq.errors import X`` a name.
        return [f"{module}.{alias.name}" for alias in node.names] if module == "onnxq" else [module]
    return []


IMPORTS = all_imports()
OWN = [one for one in IMPORTS if one.module.split(".")[0] == "onnxq"]
UNITS = {unit: floor for floor, units in FLOORS.items() for unit in units}


def unit_of(dotted: str) -> str:
    """Return the longest known unit that a dotted name lies in."""
    parts = dotted.split(".")
    names = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
    return next((name for name in names if name in UNITS), names[-1])


def unit_of_file(file: str) -> str:
    return unit_of(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def test_every_module_stands_on_a_floor():
    files = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    homeless = {unit_of_file(file) for file in files} - set(UNITS)
    assert not homeless, "give each a floor in tests/test_architecture.py"


def test_every_unit_on_a_floor_exists():
    for unit in UNITS:
        path = PACKAGE / unit.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), unit


def test_nothing_imports_from_a_higher_floor():
    climbing = [
        str(one)
        for one in OWN
        if UNITS[unit_of(one.module.removeprefix("onnxq."))] > UNITS[unit_of_file(one.file)]
    ]
    assert not climbing


def test_no_two_units_import_each_other():
    graph: dict[str, set[str]] = {}
    for one in OWN:
        unit, other = unit_of_file(one.file), unit_of(one.module.removeprefix("onnxq."))
        if unit != other:
            graph.setdefault(unit, set()).add(other)
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_packages_come_in_by_their_doors():
    past = [
        str(one)
        for one in IMPORTS
        if one.module.split(".")[0] in DOORS
        and not any(fnmatch(one.file, door) for door in DOORS[one.module.split(".")[0]])
    ]
    assert not past


def test_doors_import_plainly_at_their_top():
    hidden = [
        str(one) for one in IMPORTS if one.module.split(".")[0] in DOORS and not one.is_at_top
    ]
    assert not hidden


def test_drawers_have_names():
    banned = {"utils", "helpers", "manager", "common", "misc"}
    assert not banned & {path.stem for path in PACKAGE.rglob("*")}


def loaded_by(code: str, candidates: tuple[str, ...]) -> list[str]:
    """Return which packages a fresh interpreter has loaded after running code."""
    words = f"{code}\nimport sys\nprint(*({set(candidates)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_importing_onnxq_loads_nothing_heavy():
    heavy = (*FOREIGN, "numpy", "rich", "click", "msgspec", "psutil", "PIL")
    assert not loaded_by("import onnxq", heavy)


def test_help_loads_nothing_but_click():
    heavy = (*FOREIGN, "numpy", "rich", "msgspec", "psutil", "PIL")
    assert not loaded_by(
        "import contextlib, io\n"
        "from onnxq.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    for words in (['--help'], ['run', '--help'], ['-V']):\n"
        "        assert main(words) == 0",
        heavy,
    )


def test_the_parent_loads_nothing_that_parses_models():
    code = "import onnxq.verbs, onnxq.cli.main, onnxq.cli.render, onnxq.cli.progress"
    assert not loaded_by(code, (*FOREIGN, "PIL"))


@pytest.mark.parametrize(
    ("command", "limit_s"),
    [(("-m", "onnxq", "--help"), 0.2), (("-c", "import onnxq"), 0.15)],
    ids=["help", "import"],
)
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4 to read a child's CPU time")
def test_starting_is_cheap(command, limit_s):
    """The least of a few runs: what it costs where nothing disturbs it."""
    assert min(cpu_seconds(command) for _ in range(5)) <= limit_s


def cpu_seconds(command: tuple[str, ...]) -> float:
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
