"""``.npz`` files: rows come as NumPy reads them, and hostile files cost nothing."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.datasets import archives
from onnxq.datasets.archives import read_archive, read_blocks
from onnxq.errors import DatasetError


def header(dtype, shape, version=(1, 0)):
    text = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    write = np.lib.format.write_array_header_1_0
    (write if version == (1, 0) else np.lib.format.write_array_header_2_0)(text, fields)
    return text.getvalue()


def write_members(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def read_all(archive, name, indices):
    return np.concatenate(list(read_blocks(archive, name, np.array(indices))))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 40),
    block_bytes=st.sampled_from([1, 24, 100, 10_000]),
    is_fortran=st.booleans(),
    is_packed=st.booleans(),
    data=st.data(),
)
def test_blocks_are_the_rows_that_were_asked_for(
    tmp_path_factory, seed, count, block_bytes, is_fortran, is_packed, data
):
    x = np.random.default_rng(seed).standard_normal((count, 2, 3)).astype(np.float32)
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    stored = np.asfortranarray(x) if is_fortran else x
    (np.savez_compressed if is_packed else np.savez)(path, x=stored)
    indices = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "BLOCK_BYTES", block_bytes)
        blocks = list(read_blocks(read_archive(path), "x", np.array(indices)))
    np.testing.assert_array_equal(np.concatenate(blocks), x[indices])
    assert all(block.nbytes <= max(24, block_bytes) for block in blocks)


def test_headers_say_what_is_there(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2), ">i2"), y=np.arange(4, dtype=np.int64))
    arrays = read_archive(tmp_path / "a.npz").arrays
    assert [str(array) for array in arrays.values()] == ["x >i2 [4, 2]", "y int64 [4]"]


def test_bytes_in_another_order_are_read_as_their_values(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([1, 258], ">i2"))
    assert read_all(read_archive(tmp_path / "a.npz"), "x", [0, 1]).tolist() == [1, 258]


def test_a_later_version_of_the_header_is_read(tmp_path):
    content = header("<f4", (2,), version=(2, 0)) + np.ones(2, "<f4").tobytes()
    write_members(tmp_path / "a.npz", x=content)
    assert read_all(read_archive(tmp_path / "a.npz"), "x", [1]).tolist() == [1]


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_objects_are_refused_and_never_unpickled(tmp_path):
    trap = tmp_path / "executed"
    np.savez(tmp_path / "a.npz", x=np.array([Payload(trap)], object), allow_pickle=True)
    archive = read_archive(tmp_path / "a.npz")
    with pytest.raises(DatasetError, match="Python objects") as caught:
        read_all(archive, "x", [0])
    assert caught.value.code == "OQ127"
    assert not trap.exists()


def test_a_pickle_in_place_of_an_array_is_refused(tmp_path):
    trap = tmp_path / "executed"
    write_members(tmp_path / "a.npz", x=pickle.dumps(Payload(trap)))
    with pytest.raises(DatasetError, match="not an array"):
        read_archive(tmp_path / "a.npz")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((2**42,), "claims float32"),
        ((2**62, 2**62), "claims float32"),
        ((-1, 4), "claims float32"),
        ((3,), "claims float32"),
    ],
)
def test_a_header_that_lies_is_found_before_anything_is_allocated(tmp_path, shape, says):
    write_members(tmp_path / "a.npz", x=header("<f4", shape) + bytes(16))
    with pytest.raises(DatasetError, match=says) as caught:
        read_archive(tmp_path / "a.npz")
    assert caught.value.code == "OQ127"


def test_a_directory_that_lies_ends_in_an_error(tmp_path):
    count = 2**31 // 4
    content = header("<f4", (count,))
    write_members(tmp_path / "a.npz", x=content + bytes(16))
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    claimed = (len(content) + 2**31).to_bytes(4, "little")
    directory = damaged.rindex(b"PK\x01\x02")
    damaged[directory + 24 : directory + 28] = claimed
    (tmp_path / "a.npz").write_bytes(damaged)
    archive = read_archive(tmp_path / "a.npz")
    with pytest.raises(DatasetError, match=r"ends too early|not a whole") as caught:
        read_all(archive, "x", [count - 1])
    assert caught.value.code == "OQ127"


def test_damage_is_found_by_the_checksum(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(1000.0))
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[4000] ^= 1
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(DatasetError, match="CRC"):
        read_all(read_archive(tmp_path / "a.npz"), "x", [999])


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        (b"", "not a whole .npz", "Fetch"),
        (b"<!doctype html><title>404</title>", "not a whole .npz", "Fetch"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a whole .npz", "git lfs pull"),
        (b"\x93NUMPY\x01\x00", "not a whole .npz", "Fetch"),
    ],
)
def test_what_is_no_archive_is_said(tmp_path, content, says, hint):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=says) as caught:
        read_archive(tmp_path / "a.npz")
    assert caught.value.code == "OQ127"
    assert hint in caught.value.hint


def test_a_truncated_archive_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(1000.0))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="not a whole"):
        read_archive(tmp_path / "a.npz")


def test_an_archive_without_arrays_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DatasetError, match="holds no arrays"):
        read_archive(tmp_path / "a.npz")


def test_a_member_under_a_password_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3.0))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="encrypted") as caught:
        read_archive(tmp_path / "a.npz")
    assert caught.value.code == "OQ127"


def test_rows_too_large_to_hold_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 100)), f=np.asfortranarray(np.zeros((9, 9))))
    archive = read_archive(tmp_path / "a.npz")
    monkeypatch.setattr(archives, "MAX_ROW_BYTES", 799)
    monkeypatch.setattr(archives, "MAX_FORTRAN_BYTES", 647)
    with pytest.raises(DatasetError, match="a row of 'x'"):
        read_all(archive, "x", [0])
    with pytest.raises(DatasetError, match="Fortran order"):
        read_all(archive, "f", [0])
