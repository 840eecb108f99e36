"""What ``--data`` names, by its spelling; and how it is written for a child."""

from pathlib import Path

import pytest

from onnxq.datasets.specs import (
    CodeSpec,
    HubSpec,
    PathSpec,
    absolute_spec,
    parse_spec,
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("val.npz", PathSpec(Path("val.npz"))),
        ("folder/", PathSpec(Path("folder"))),
        ("C:val.npz", PathSpec(Path("C:val.npz"))),
        ("a b:c", PathSpec(Path("a b:c"))),
        ("rows.py", PathSpec(Path("rows.py"))),
        ("pkg.mod:fn", CodeSpec("pkg.mod", "fn")),
        ("mod:fn", CodeSpec("mod", "fn")),
        ("my folder/rows.py:fn", CodeSpec("my folder/rows.py", "fn")),
        ("hf:imdb", HubSpec("imdb", ())),
        ("hf:nyu-mll/glue:sst2:validation", HubSpec("nyu-mll/glue", ("sst2", "validation"))),
        ("hf:cifar10[test]", HubSpec("cifar10", ("test",))),
        ("hf:glue:sst2[test]", HubSpec("glue", ("sst2", "test"))),
        ("hf:./folder:test", HubSpec("./folder", ("test",))),
    ],
)
def test_a_spec_is_told_by_its_spelling(text, spec):
    assert parse_spec(text) == spec


def test_what_exists_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mod:fn", "hf:imdb"):
        (tmp_path / name).touch()
        assert parse_spec(name) == PathSpec(Path(name))


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("", ""),
        ("val.npz", "{0}/val.npz"),
        ("/data/val.npz", "/data/val.npz"),
        ("pkg.mod:fn", "pkg.mod:fn"),
        ("sub/rows.py:fn", "{0}/sub/rows.py:fn"),
        ("hf:imdb:test", "hf:{0}/cache/imdb:test"),
        ("hf:nyu-mll/glue", "hf:{0}/cache/nyu-mll___glue"),
        ("hf:./saved:test", "hf:{0}/saved:test"),
        ("hf:saved", "hf:{0}/saved"),
    ],
)
def test_a_spec_holds_in_another_folder(text, absolute, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").touch()
    assert absolute_spec(text, tmp_path) == absolute.format(tmp_path)
    assert absolute_spec(absolute_spec(text, tmp_path), Path("/")) == absolute.format(tmp_path)


def test_the_cache_lies_where_the_package_puts_it(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "/hf")
    assert absolute_spec("hf:imdb", tmp_path) == "hf:/hf/datasets/imdb"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute_spec("hf:imdb", tmp_path) == "hf:/home/me/.cache/huggingface/datasets/imdb"
