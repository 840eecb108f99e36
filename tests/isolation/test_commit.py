from pathlib import Path

import pytest

from onnxq.errors import OutputError, UsageError
from onnxq.isolation.commit import check_output, staged_output


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
