import shutil
from pathlib import Path

import pytest

from onnxq.documents import Conversion, document_to_json
from onnxq.errors import Interrupted, OutputError, UsageError
from onnxq.isolation.commit import (
    check_output,
    check_output_file,
    remove_afterwards,
    staged_file,
    staged_output,
)
from onnxq.isolation.ownership import file_digests
from onnxq.measurements import Size
from onnxq.reports import Artefact, ParityNotChecked, SourceFacts
from onnxq.tensors import Signature

STOP = Interrupted("stop", code="OQ184", hint="")


def conversion(**fields):
    model = Artefact(
        file="model.onnx",
        sha256="",
        size=Size(file_bytes=1, initializer_bytes={}),
        opset=17,
        ir_version=10,
        min_runtime="",
        quantized_nodes=0,
        quantizable_nodes=0,
    )
    source = SourceFacts(
        given="m.keras",
        framework="keras",
        exporter="",
        signature=Signature((), ()),
        opset=17,
        sha256="",
        parity=ParityNotChecked(reason=""),
    )
    return Conversion(
        onnxq="0",
        created="",
        command=(),
        source=source,
        artefact=model,
        out="",
        findings=(),
        seconds={},
        sandbox="",
        **fields,
    )


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_folder_appears_whole(tmp_path):
    out = tmp_path / "deep" / "out"
    check_output(out, overwrite=False, kept=())
    with staged_output(out, overwrite=False) as staging:
        (staging / "report.json").write_text("{}")
        assert not out.exists()
    assert files(tmp_path) == ["deep", "deep/out", "deep/out/report.json"]


def test_nothing_appears_when_the_body_fails(tmp_path):
    def fail_half_way():
        with staged_output(tmp_path / "out", overwrite=False) as staging:
            (staging / "half").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert files(tmp_path) == []


def test_existing_folder_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("")
    with staged_output(out, overwrite=True) as staging:
        (staging / "new").write_text("")
    assert files(tmp_path) == ["out", "out/new"]


def test_foreign_file_is_refused_and_named(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match=r"thesis\.tex") as caught:
        check_output(tmp_path, overwrite=False, kept=())
    assert caught.value.code == "OQ191"
    assert "--overwrite" in caught.value.hint
    check_output(tmp_path, overwrite=True, kept=())


def test_damaged_report_makes_a_folder_foreign(tmp_path):
    (tmp_path / "report.json").write_text('{"schema": 1')
    with pytest.raises(OutputError, match=r"report\.json"):
        check_output(tmp_path, overwrite=False, kept=())


def test_what_the_user_gave_is_never_replaced(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_text("")
    with pytest.raises(UsageError, match="holds"):
        check_output(tmp_path, overwrite=True, kept=(model,))


def test_current_folder_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="holds"):
        check_output(Path(), overwrite=True, kept=())


def test_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        check_output(tmp_path / "out", overwrite=True, kept=())


def test_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        check_output(tmp_path / "file" / "out", overwrite=False, kept=())
    assert caught.value.code == "OQ192"


def test_symlink_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(OutputError, match="not a folder"):
        check_output(tmp_path / "out", overwrite=True, kept=())


def test_file_put_there_meanwhile_is_kept(tmp_path):
    out = tmp_path / "out"
    out.mkdir()

    def write():
        with staged_output(out, overwrite=False) as staging:
            (staging / "new").write_text("")
            (out / "thesis.tex").write_text("")

    with pytest.raises(OutputError, match=r"thesis\.tex"):
        write()
    assert files(tmp_path) == ["out", "out/thesis.tex"]


def test_old_results_come_back_when_the_rename_fails(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("")
    rename = Path.rename

    def fail_once(self, target):
        if target == out and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)

    def write():
        with staged_output(out, overwrite=True) as staging:
            (staging / "new").write_text("")

    with pytest.raises(OutputError, match="No space left"):
        write()
    assert files(tmp_path) == ["out", "out/old"]


def test_folder_is_readable_by_others_as_usual(tmp_path):
    with staged_output(tmp_path / "out", overwrite=False) as staging:
        (staging / "new").write_text("")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_checking_makes_nothing(tmp_path):
    check_output(tmp_path / "a" / "b" / "c", overwrite=False, kept=())
    check_output_file(tmp_path / "a" / "b" / "c.onnx", overwrite=False, kept=())
    assert files(tmp_path) == []


@pytest.mark.parametrize("stage", [staged_output, staged_file])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_folders_on_the_way_go_again_with_a_failure(tmp_path, stage, error):
    (tmp_path / "a").mkdir()

    def fail():
        with stage(tmp_path / "a" / "b" / "c" / "d.onnx", overwrite=False):
            assert (tmp_path / "a" / "b" / "c").is_dir()
            raise error

    with pytest.raises(error):
        fail()
    assert files(tmp_path) == ["a"]


def test_folders_that_others_use_by_now_stay(tmp_path):
    def fail():
        with staged_output(tmp_path / "a" / "b" / "out", overwrite=False):
            (tmp_path / "a" / "theirs").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert files(tmp_path) == ["a", "a/theirs"]


def write_ours(out, texts):
    """Write an output folder of ours, as a conversion does."""
    with staged_output(out, overwrite=False) as staging:
        for name, text in texts.items():
            (staging / name).write_text(text)
        document = conversion(files=file_digests(staging))
        (staging / "report.json").write_bytes(document_to_json(document))


def test_our_own_folder_is_replaced_until_somebody_edits_it(tmp_path):
    out = tmp_path / "out"
    write_ours(out, {"model.onnx": "1", "serve.py": "2"})
    write_ours(out, {"model.onnx": "3", "serve.py": "2"})
    assert files(out) == ["model.onnx", "report.json", "serve.py"]
    (out / "serve.py").write_text("my own work")
    for attempt in (
        lambda: check_output(out, overwrite=False, kept=()),
        lambda: write_ours(out, {}),
    ):
        with pytest.raises(OutputError, match=r"'serve\.py', changed since") as caught:
            attempt()
        assert caught.value.code == "OQ191"
    check_output(out, overwrite=True, kept=())


def test_a_file_of_a_name_of_ours_that_the_report_does_not_list_is_foreign(tmp_path):
    out = tmp_path / "out"
    write_ours(out, {"model.onnx": "1"})
    (out / "serve.py").write_text("my own work")
    with pytest.raises(OutputError, match=r"'serve\.py', which onnxq did not write"):
        check_output(out, overwrite=False, kept=())


def test_a_file_that_became_a_folder_is_changed(tmp_path):
    out = tmp_path / "out"
    write_ours(out, {"model.onnx": "1"})
    (out / "model.onnx").unlink()
    (out / "model.onnx").mkdir()
    with pytest.raises(OutputError, match="changed since"):
        check_output(out, overwrite=False, kept=())


def test_a_signal_between_the_two_renames_loses_nothing(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("")
    rename = Path.rename

    def interrupted(self, target):
        done = rename(self, target)
        if self == out:
            raise STOP
        return done

    monkeypatch.setattr(Path, "rename", interrupted)

    def write():
        with staged_output(out, overwrite=True) as staging:
            (staging / "new").write_text("")

    with pytest.raises(Interrupted):
        write()
    assert files(tmp_path) == ["out", "out/old"]


def test_a_signal_during_the_removal_does_not_end_it(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "rows.npy").write_text("")
    remove, calls = shutil.rmtree, []

    def interrupted(path, **options):
        calls.append(path)
        if len(calls) == 1:
            raise STOP
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(Interrupted), remove_afterwards(folder):
        pass
    assert not folder.exists()


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_a_file_appears_whole_or_not_at_all(tmp_path, error):
    path = tmp_path / "model.onnx"

    def fail():
        with staged_file(path, overwrite=False) as staging:
            staging.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert files(tmp_path) == []
    with staged_file(path, overwrite=False) as staging:
        staging.write_text("whole")
    assert files(tmp_path) == ["model.onnx"]
    with pytest.raises(OutputError, match="exists"), staged_file(path, overwrite=False) as staging:
        staging.write_text("another")
    assert path.read_text() == "whole"
