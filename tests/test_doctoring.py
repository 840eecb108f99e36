"""Advice before anything is installed, and without running anything."""

import importlib.metadata
import pickle
import platform
import re
import shlex
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxq import doctoring, file_advice, packages
from onnxq.doctoring import Cache, NoFile, examine, find_cache
from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.file_advice import FileAdvice, advise_file
from onnxq.packages import BASE_PACKAGES, EXTRA_DISK_BYTES, EXTRAS, install_command, list_packages
from onnxq.sniffing import FileKind


@pytest.fixture
def nothing_installed(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def write_zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return str(path)


def write_onnx(path):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=opset), path)
    return str(path)


def write_checkpoint(path, *, module=False):
    class_name = b"cmypkg.nets\nNet\n." if module else pickle.dumps({"a": 1}, protocol=2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", class_name)
        archive.writestr("w/data/0", b"0")
    return str(path)


# Packages.


def requirements():
    """Return the package names of onnxq's own metadata, by extra; the base under an empty name."""
    found = {}
    for text in importlib.metadata.requires("onnxq"):
        name = re.match(r"[A-Za-z0-9-]+", text)[0].lower()
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", text)
        found.setdefault(extra[1] if extra else "", set()).add(name)
    return found


def test_packages_are_those_of_the_metadata():
    known = requirements()
    assert set(BASE_PACKAGES) == known[""]
    for extra, names in EXTRAS.items():
        assert set(names) == known[extra] - {"tensorflow-cpu"}
    assert set(EXTRA_DISK_BYTES) == set(EXTRAS)


def test_packages_are_listed_without_being_imported():
    versions = {package.name: package.version for package in list_packages()}
    assert versions["onnx"] == importlib.metadata.version("onnx")
    assert list(versions)[: len(BASE_PACKAGES)] == list(BASE_PACKAGES)


@pytest.mark.usefixtures("nothing_installed")
def test_missing_packages_have_no_version():
    assert not any(package.version for package in list_packages())
    assert packages.missing_packages("keras") == ("tensorflow", "keras", "tf2onnx")
    assert packages.missing_packages("") == ()


def found_runtimes(monkeypatch, *installed):
    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    (found,) = (one for one in list_packages() if one.name == "onnxruntime")
    return found


def test_another_distribution_of_onnxruntime_is_found_and_named(monkeypatch):
    found = found_runtimes(monkeypatch, "onnxruntime-openvino")
    assert (found.version, found.distributions) == ("1.0", ("onnxruntime-openvino",))


def test_two_distributions_of_onnxruntime_are_both_named(monkeypatch):
    found = found_runtimes(monkeypatch, "onnxruntime-openvino", "onnxruntime")
    assert found.distributions == ("onnxruntime", "onnxruntime-openvino")


def test_the_command_that_installs_an_extra():
    assert install_command("keras") == "pip install 'onnxq[keras]'"


# Files.


@pytest.mark.usefixtures("nothing_installed")
def test_the_extra_its_size_and_the_command_are_named_before_any_install(tmp_path):
    path = write_zip(tmp_path / "m.keras", "config.json", "metadata.json", "model.weights.h5")
    advice = advise_file(path)
    assert advice.supported
    assert advice.extra == "keras"
    assert advice.missing == ("tensorflow", "keras", "tf2onnx")
    assert advice.disk_bytes > 10**9
    assert advice.install == "pip install 'onnxq[keras]'"
    assert advice.trust == "data"
    assert "Lambda" in advice.trust_reason
    assert advice.advice == f"onnxq run {shlex.quote(path)} --data val.npz"


def test_an_onnx_file_needs_nothing(tmp_path):
    advice = advise_file(write_onnx(tmp_path / "m.onnx"))
    assert (advice.extra, advice.missing, advice.disk_bytes, advice.install) == ("", (), 0, "")
    assert advice.trust == "data"
    assert advice.supported
    assert "onnxq inspect" in advice.condition


def test_a_file_that_was_not_opened_is_promised_nothing():
    for rule in file_advice._RULES.values():  # noqa: SLF001 - the subject
        assert bool(rule.condition) == rule.supported


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("names", "kind", "trust", "supported"),
    [
        (("m/constants.pkl", "m/code/x.py", "m/data.pkl"), "TORCHSCRIPT", "code", True),
        (("m/archive_format", "m/data/x"), "TORCH_EXPORT", "code", True),
        (("a.txt",), "ZIP", "none", False),
        (("x.npy", "y.npy"), "NUMPY", "none", False),
    ],
)
def test_archives(tmp_path, names, kind, trust, supported):
    advice = advise_file(write_zip(tmp_path / "m.zip", *names))
    assert advice.file_kind == FileKind[kind].value
    assert advice.trust == trust
    assert advice.supported is supported


def test_weights_are_data_but_need_a_factory(tmp_path):
    advice = advise_file(write_checkpoint(tmp_path / "w.pth"))
    assert advice.trust == "data"
    assert "weights_only=True" in advice.trust_reason
    assert "pkg.mod:fn --weights" in advice.advice


def test_a_pickled_module_is_code(tmp_path):
    advice = advise_file(write_checkpoint(tmp_path / "w.pth", module=True))
    assert advice.trust == "code"
    assert not advice.supported
    assert "mypkg.nets.Net" in advice.trust_reason


def test_naming_a_function_is_the_trust(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("raise SystemExit('must not run')\n")
    for given in (str(path), f"{path}:build"):
        advice = advise_file(given)
        assert advice.trust == "named"
        assert advice.extra == "torch"
    assert advice.advice.startswith(f"onnxq run {path}:build ")


def test_a_saved_model_is_scanned_before_it_is_loaded(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    advice = advise_file(str(tmp_path))
    assert (advice.supported, advice.trust, advice.extra) == (True, "data", "keras")
    assert "--trust" in advice.trust_reason


def test_what_runs_code_says_how_to_trust_it(tmp_path):
    path = write_zip(tmp_path / "p.pt2", "p/archive_format")
    assert advise_file(path).advice.startswith(f"onnxq run {shlex.quote(path)} --trust")


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("m.tflite", b"\x1c\0\0\0TFL3"),
        ("w.safetensors", (2).to_bytes(8, "little") + b"{}"),
        ("w.weights.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 600),
    ],
)
def test_what_parse_source_takes_is_supported(tmp_path, name, head):
    (tmp_path / name).write_bytes(head)
    assert advise_file(str(tmp_path / name)).supported


def test_a_folder_stands_for_its_only_onnx_file(tmp_path):
    write_onnx(tmp_path / "m.onnx")
    assert advise_file(str(tmp_path)).file_kind == FileKind.ONNX.value
    write_onnx(tmp_path / "n.onnx")
    assert advise_file(str(tmp_path)).file_kind == FileKind.FOLDER.value


def test_rows_are_no_model(tmp_path):
    np.savez(tmp_path / "val.npz", x=np.zeros(3))
    advice = advise_file(str(tmp_path / "val.npz"))
    assert not advice.supported
    assert "--data" in advice.advice


def test_a_file_of_no_kind(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"?")
    advice = advise_file(str(path))
    assert (advice.supported, advice.trust) == (False, "none")


def test_a_missing_file_is_an_error():
    with pytest.raises(SourceError, match=r"nosuch\.onnx cannot be read"):
        advise_file("nosuch.onnx")


def test_every_kind_of_model_has_advice():
    no_model = {
        FileKind.ZIP, FileKind.BROKEN_ZIP, FileKind.GZIP, FileKind.LFS_POINTER, FileKind.HTML,
        FileKind.EMPTY, FileKind.FOLDER, FileKind.UNKNOWN,
    }  # fmt: skip
    assert set(file_advice._RULES) == set(FileKind) - no_model  # noqa: SLF001 - the subject


# All of it.


def test_the_doctor_describes_machine_and_packages():
    found = examine("", tell_nobody)
    assert found.environment.cores >= 1
    assert "int8" in found.target
    assert found.packages == list_packages()
    assert isinstance(found.file, NoFile)
    assert "off" in found.telemetry


def test_the_doctor_says_what_counts_and_what_is_kept(cache_folder, monkeypatch):
    found = examine("", tell_nobody)
    assert found.counting.startswith("values are counted by ")
    assert found.cache.folder == str(cache_folder)
    (cache_folder / "kept").mkdir(exist_ok=True)
    (cache_folder / "kept" / "a").write_bytes(b"0" * 1000)
    (cache_folder / "kept" / "dangling").symlink_to(cache_folder / "nowhere")
    assert find_cache().size_bytes >= found.cache.size_bytes + 1000
    monkeypatch.setenv("ONNXQ_CACHE_DIR", str(cache_folder / "nowhere"))
    assert find_cache() == Cache(folder=str(cache_folder / "nowhere"), size_bytes=0)


def test_the_doctor_looks_at_a_file(tmp_path):
    found = examine(write_onnx(tmp_path / "m.onnx"), tell_nobody)
    assert isinstance(found.file, FileAdvice)
    assert found.file.file_kind == "ONNX model"


def test_the_target_is_that_of_the_machine(monkeypatch):
    from onnxq import targets  # noqa: PLC0415 - what the doctor imports late

    monkeypatch.setattr(
        targets, "describe_target", lambda isa, machine: f"kernels of {len(isa)} on {machine}"
    )
    found = doctoring.examine("", tell_nobody)
    assert found.target == f"kernels of {len(found.environment.isa)} on {platform.machine()}"
