"""What is shipped: exactly the package, its licence and its metadata."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.tags import Tag, sys_tags

import onnxq
from onnxq.calibration.counting import find_kernel

ROOT = Path(__file__).parents[1]


KERNEL = "onnxq/calibration/_counting.so"


def build(folder: Path, *targets: str, **environment: str) -> Path:
    """Build into a folder; the kernel, where it is built, is left in the working tree too."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder, *targets],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A pure wheel and a source archive."""
    pytest.importorskip("hatchling", reason="needs the build backend: --group test")
    return build(tmp_path_factory.mktemp("dist"), CC="no-such-compiler")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    """A wheel with the kernel."""
    pytest.importorskip("hatchling", reason="needs the build backend: --group test")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    return build(tmp_path_factory.mktemp("compiled"), "-t", "wheel")


def package_files() -> set[str]:
    """Everything of the package but what Python and the build leave behind."""
    found = (path.relative_to(ROOT) for path in (ROOT / "onnxq").rglob("*") if path.is_file())
    names = {path.as_posix() for path in found if "__pycache__" not in path.parts}
    return names - {KERNEL}


def wheel_files(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def expected_files() -> set[str]:
    info = f"onnxq-{onnxq.__version__}.dist-info"
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    return package_files() | {f"{info}/{name}" for name in metadata}


def test_the_package_holds_nothing_but_python_and_the_source_of_its_kernel():
    assert {Path(name).suffix for name in package_files()} == {".py", ".typed", ".c"}


def test_the_wheel_holds_exactly_the_package(built):
    (wheel,) = built.glob("*.whl")
    assert wheel_files(wheel) == expected_files()


def test_the_wheel_is_for_every_platform_where_there_is_no_compiler(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"onnxq-{onnxq.__version__}-py3-none-any.whl"


@pytest.mark.parametrize("environment", [{"CC": "false"}, {"HATCH_BUILD_NO_HOOKS": "true"}])
def test_a_compiler_that_fails_or_is_not_wanted_gives_the_same_pure_wheel(
    built, tmp_path, environment
):
    (pure,) = built.glob("*.whl")
    (wheel,) = build(tmp_path, "-t", "wheel", **environment).glob("*.whl")
    assert wheel.name == pure.name
    assert wheel.read_bytes() == pure.read_bytes()


def test_the_wheel_with_the_kernel_is_for_this_platform(compiled):
    (wheel,) = compiled.glob("*.whl")
    assert wheel_files(wheel) == expected_files() | {KERNEL}
    tag = wheel.name.removeprefix(f"onnxq-{onnxq.__version__}-").removesuffix(".whl")
    assert Tag(*tag.split("-")) in set(sys_tags())
    metadata = zipfile.ZipFile(wheel).read(f"onnxq-{onnxq.__version__}.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: false" in metadata


def test_the_wheel_with_the_kernel_is_reproducible(compiled, tmp_path):
    (wheel,) = compiled.glob("*.whl")
    (again,) = build(tmp_path, "-t", "wheel").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_kernel_in_the_wheel_is_found(compiled, tmp_path):
    (wheel,) = compiled.glob("*.whl")
    library = zipfile.ZipFile(wheel).extract(KERNEL, tmp_path)
    assert find_kernel(Path(library)) is not None


def test_the_source_archive_holds_exactly_what_builds_the_wheel(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    beside = {
        "LICENSE", "README.md", "hatch_build.py", "pyproject.toml", "PKG-INFO", ".gitignore",
    }  # fmt: skip
    assert names == package_files() | beside


def test_no_file_is_ignored_by_git_and_shipped(built):
    (wheel,) = built.glob("*.whl")
    shipped = [n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("onnxq/")]
    ignored = subprocess.run(
        ["git", "check-ignore", *shipped],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ignored.returncode > 1:
        pytest.skip("not a git checkout")
    assert not ignored.stdout
