import sys
from pathlib import Path

import pytest

from onnxq.cache_folders import default_cache_folder


def test_the_environment_may_name_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONNXQ_CACHE_DIR", "mine")
    assert default_cache_folder() == tmp_path / "mine"
    assert not list(tmp_path.iterdir())


def test_an_empty_name_names_none(monkeypatch):
    monkeypatch.delenv("ONNXQ_CACHE_DIR")
    usual = default_cache_folder()
    assert usual.is_absolute()
    monkeypatch.setenv("ONNXQ_CACHE_DIR", "")
    assert default_cache_folder() == usual


@pytest.mark.skipif(sys.platform != "linux", reason="XDG's folders are those of Linux")
def test_on_linux_the_desktop_says_where(monkeypatch, tmp_path):
    monkeypatch.delenv("ONNXQ_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "onnxq"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == Path.home() / ".cache" / "onnxq"
