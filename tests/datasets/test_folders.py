"""Folders of images: the order of rows, and where classes come from."""

import pytest

from onnxq.datasets.folders import IMAGE_SUFFIXES, list_files, number_classes, select_files
from onnxq.errors import DatasetError


def read_folder(path, classes):
    return number_classes(path, select_files(list_files(path), IMAGE_SUFFIXES), classes)


def touch(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


def test_subfolders_are_classes_in_sorted_order(tmp_path):
    touch(tmp_path, "dog/2.jpg", "cat/b.JPEG", "cat/a.png", "dog/deep/1.jpg", "cat/notes.txt")
    folder = read_folder(tmp_path, "")
    assert folder.files == ("cat/a.png", "cat/b.JPEG", "dog/2.jpg", "dog/deep/1.jpg")
    assert folder.labels == (0, 0, 1, 1)
    assert folder.class_names == ("cat", "dog")


def test_a_class_without_images_keeps_its_number(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/none.txt", "c/1.jpg")
    assert read_folder(tmp_path, "").labels == (0, 2)


def test_a_flat_folder_has_no_labels(tmp_path):
    folder = read_folder(touch(tmp_path, "b.jpg", "a.jpg"), "")
    assert (folder.files, folder.labels) == (("a.jpg", "b.jpg"), ())


def test_hidden_files_are_no_rows(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/._1.jpg", ".cache/2.jpg", "__MACOSX/a/1.jpg")
    assert read_folder(tmp_path, "").files == ("a/1.jpg",)


def test_links_are_followed_but_no_circle(tmp_path):
    touch(tmp_path / "real", "1.jpg")
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "cat" / "up").symlink_to(tmp_path / "set")
    assert read_folder(tmp_path / "set", "").files == ("dog/1.jpg",)


def test_a_pattern_finds_numbers(tmp_path):
    touch(tmp_path, "0007_n0144.jpg", "0003_n0155.jpg")
    assert read_folder(tmp_path, r"^(\d+)_").labels == (3, 7)


def test_a_pattern_finds_names_which_are_numbered(tmp_path):
    touch(tmp_path, "1-dog.jpg", "2-cat.jpg", "3-dog.jpg")
    folder = read_folder(tmp_path, r"-(\w+)\.jpg$")
    assert (folder.labels, folder.class_names) == ((1, 0, 1), ("cat", "dog"))


def test_a_pattern_sees_the_path_below_the_folder(tmp_path):
    touch(tmp_path, "2/a.jpg", "10/a.jpg")
    assert read_folder(tmp_path, r"^(\d+)/").labels == (10, 2)


def test_a_list_numbers_subfolders_by_line_or_by_index(tmp_path):
    rows = touch(tmp_path / "rows", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "names.txt").write_text("dog\nbird\ncat\n")
    assert read_folder(rows, str(tmp_path / "names.txt")).labels == (2, 0)
    (tmp_path / "numbers.txt").write_text("281 = cat\n\n207=dog\n")
    assert read_folder(rows, str(tmp_path / "numbers.txt")).labels == (281, 207)


@pytest.mark.parametrize(
    ("files", "classes", "code", "says"),
    [
        (("a/1.jpg", "2.jpg"), "", "OQ127", "both in subfolders and beside them, such as 2.jpg"),
        (("1_a.jpg", "b.jpg", "c.jpg"), r"^(\d+)_", "OQ125", "in 2 of 3 file names"),
        (("a.jpg",), r"^\d+_", "OQ125", "found 0 groups"),
        (("a.jpg",), r"^(\d+", "OQ125", "neither a file nor a regular expression"),
        (("a.jpg",), "x" * 5000, "OQ125", "found 0 groups"),
        (("a.jpg",), "classes.txt", "OQ125", "found 0 groups"),
    ],
)
def test_what_cannot_be_told_is_said(tmp_path, files, classes, code, says):
    with pytest.raises(DatasetError) as caught:
        read_folder(touch(tmp_path, *files), classes)
    assert caught.value.code == code
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "says"),
    [("cats\ndog", "Did you mean 'cats'?"), ("cat\ndog\ncat", "the class 'cat' 2 times")],
)
def test_a_list_names_each_subfolder_once(tmp_path, lines, says):
    rows = touch(tmp_path / "rows", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "names.txt").write_text(lines)
    with pytest.raises(DatasetError) as caught:
        read_folder(rows, str(tmp_path / "names.txt"))
    assert caught.value.code == "OQ125"
    assert says in str(caught.value)


def test_a_list_needs_subfolders(tmp_path):
    rows = touch(tmp_path / "rows", "1.jpg")
    (tmp_path / "names.txt").write_text("cat\n")
    with pytest.raises(DatasetError, match="has none") as caught:
        read_folder(rows, str(tmp_path / "names.txt"))
    assert caught.value.code == "OQ125"


def test_a_list_is_text(tmp_path):
    rows = touch(tmp_path / "rows", "cat/1.jpg")
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_folder(rows, str(tmp_path / "names.txt"))
