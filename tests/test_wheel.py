"""What is shipped: exactly the package, its licence and its metadata."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import onnxq

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling", reason="needs the build backend: --group test")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def package_files() -> set[str]:
    """Everything of the package but what Python leaves behind."""
    found = (path.relative_to(ROOT) for path in (ROOT / "onnxq").rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_package_holds_nothing_but_python():
    assert {Path(name).suffix for name in package_files()} == {".py", ".typed"}


def test_the_wheel_holds_exactly_the_package(built):
    (wheel,) = built.glob("*.whl")
    info = f"onnxq-{onnxq.__version__}.dist-info"
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    expected = package_files() | {f"{info}/{name}" for name in metadata}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected


def test_the_wheel_is_for_every_platform(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"onnxq-{onnxq.__version__}-py3-none-any.whl"


def test_the_source_archive_holds_exactly_what_builds_the_wheel(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    beside = {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
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
