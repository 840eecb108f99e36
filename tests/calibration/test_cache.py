import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from onnxq.calibration.cache import open_cache
from onnxq.calibration.cache_entries import Entry, prune_entries, write_entry
from onnxq.calibration.collected_statistics import StatisticsIdentity
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics

RUNS = 6
IDENTITY = StatisticsIdentity(
    model_sha256="a" * 64, rows_sha256="b" * 64, batch_rows=1, runs=RUNS, onnxruntime="1.31.1"
)


def some(chosen=range(RUNS), *, seed=0, unsound=(), left_out=()):
    collector = StatisticsCollector(empty_statistics(RUNS))
    for run in chosen:
        values = np.random.default_rng((seed, run)).standard_normal(50).astype(np.float32)
        collector.fold(run, np.full(3, np.nan, np.float32) if run in unsound else values)
        if run in left_out:
            collector.fold_out(run, values)
    return collector.statistics()


def assert_same(one, other):
    assert set(one) == set(other)
    for name, statistics in one.items():
        for field in ("counts", "row_seen", "row_lows", "row_highs", "row_non_finite"):
            np.testing.assert_array_equal(getattr(statistics, field), getattr(other[name], field))


def keep(folder, statistics, identity=IDENTITY, **options):
    with open_cache(str(folder), identity, **options) as cache:
        cache.keep(statistics)
        return cache.findings


def load(folder, tensors, identity=IDENTITY, **options):
    with open_cache(str(folder), identity, **options) as cache:
        found = cache.load(tensors)
        return found, cache.findings


def entry_file(folder):
    (path,) = folder.glob("calibration/*/statistics")
    return path


def all_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_found(tmp_path):
    known = {"x": some(), "y": some([0, 3], seed=1)}
    assert keep(tmp_path, known) == ()
    found, findings = load(tmp_path, ["x", "y"])
    assert_same(found, known)
    assert findings == ()
    assert all_files(tmp_path) == [entry_file(tmp_path)]


def test_nothing_is_found_where_nothing_is_kept(tmp_path):
    assert load(tmp_path / "none", ["x"]) == ({}, ())
    assert not (tmp_path / "none").exists()
    assert keep(tmp_path / "none", {}) == ()
    assert not (tmp_path / "none").exists()


def test_no_folder_is_no_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert keep("", {"x": some()}) == ()
    assert load("", ["x"]) == ({}, ())
    assert all_files(tmp_path) == []


def test_a_later_checkpoint_replaces_an_earlier_one(tmp_path):
    with open_cache(str(tmp_path), IDENTITY) as cache:
        for end in range(1, RUNS + 1):
            cache.keep({"x": some(range(end))})
    assert_same(load(tmp_path, ["x"])[0], {"x": some()})
    assert len(all_files(tmp_path)) == 1


def test_fewer_tensors_are_a_part_of_what_is_known(tmp_path):
    keep(tmp_path, {"x": some(), "y": some(seed=1)})
    assert_same(load(tmp_path, ["y"])[0], {"y": some(seed=1)})


def test_more_tensors_are_added_to_what_is_known(tmp_path):
    keep(tmp_path, {"x": some()})
    with open_cache(str(tmp_path), IDENTITY) as cache:
        assert set(cache.load(["y"])) == set()
        cache.keep({"y": some(seed=1)})
    assert_same(load(tmp_path, ["x", "y"])[0], {"x": some(), "y": some(seed=1)})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_sha256", "c" * 64),
        ("rows_sha256", "c" * 64),
        ("batch_rows", 2),
        ("runs", RUNS + 1),
        ("stride", 2),
        ("onnxruntime", "1.32.0"),
        ("stop_early", True),
        ("version", 2),
    ],
)
def test_each_thing_that_decides_the_numbers_misses(tmp_path, field, value):
    keep(tmp_path, {"x": some()})
    other = msgspec.structs.replace(IDENTITY, **{field: value})
    assert load(tmp_path, ["x"], other) == ({}, ())


def test_every_field_is_tried():
    assert len(StatisticsIdentity.__struct_fields__) == 8


def test_parts_are_kept_apart(tmp_path):
    keep(tmp_path, {"x": some([0, 1, 2])}, part="1/2")
    assert load(tmp_path, ["x"]) == ({}, ())
    assert load(tmp_path, ["x"], part="2/2") == ({}, ())
    assert set(load(tmp_path, ["x"], part="1/2")[0]) == {"x"}


def test_another_instruction_set_misses(tmp_path, monkeypatch):
    keep(tmp_path, {"x": some()})
    monkeypatch.setattr("onnxq.calibration.cache._instruction_sets", lambda: "flags : avx512f")
    assert load(tmp_path, ["x"]) == ({}, ())


def test_a_run_left_out_for_a_tensor_that_does_not_matter_is_not_missed(tmp_path):
    """What is found is what a calibration of these tensors alone would have collected."""
    keep(tmp_path, {"x": some(left_out=[2]), "y": some(seed=1, unsound=[2]), "z": some(seed=2)})
    assert set(load(tmp_path, ["x", "y", "z"])[0]) == {"x", "y", "z"}
    assert set(load(tmp_path, ["x", "z"])[0]) == {"z"}
    with open_cache(str(tmp_path), IDENTITY) as cache:
        cache.load(["x"])
        cache.keep({"x": some()})
    found = load(tmp_path, ["x", "y"])[0]
    assert_same(found, {"x": some(), "y": some(seed=1, unsound=[2])})


def test_what_is_known_is_not_written_again(tmp_path):
    keep(tmp_path, {"x": some()})
    inode = entry_file(tmp_path).stat().st_ino
    with open_cache(str(tmp_path), IDENTITY) as cache:
        cache.keep(cache.load(["x"]))
    assert entry_file(tmp_path).stat().st_ino == inode


DAMAGE = {
    "flipped": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "cut": lambda data: data[: len(data) // 2],
    "another file": lambda _: b"PK\x03\x04 something else",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_told_and_removed(tmp_path, damage):
    keep(tmp_path, {"x": some()})
    path = entry_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    found, (finding,) = load(tmp_path, ["x"])
    assert found == {}
    assert (finding.code, finding.subject) == ("OQ148", "calibration cache")
    assert str(path) in finding.message
    assert not path.exists()
    assert load(tmp_path, ["x"]) == ({}, ())


def test_an_entry_in_a_wrong_place_is_removed(tmp_path):
    keep(tmp_path, {"x": some()})
    other = msgspec.structs.replace(IDENTITY, stride=2)
    data = entry_file(tmp_path).read_bytes()
    keep(tmp_path, {"x": some()}, other)
    for path in tmp_path.glob("calibration/*/statistics"):
        path.write_bytes(data)
    found, (finding,) = load(tmp_path, ["x"], other)
    assert found == {}
    assert "another calibration" in finding.message
    assert set(load(tmp_path, ["x"])[0]) == {"x"}


def test_an_empty_file_is_no_entry(tmp_path):
    keep(tmp_path, {"x": some()})
    entry_file(tmp_path).write_bytes(b"")
    assert load(tmp_path, ["x"])[0] == {}


def test_a_cache_that_cannot_be_written_is_told_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    asked = []

    class Lazy(dict):
        def items(self):
            asked.append(1)
            return super().items()

    with open_cache(str(blocked / "cache"), IDENTITY) as cache:
        assert cache.load(["x"]) == {}
        for _ in range(3):
            cache.keep(Lazy(x=some()))
        written = [one for one in cache.findings if "not kept" in one.message]
    assert len(written) == 1
    assert written[0].code == "OQ148"
    assert "--no-cache" in written[0].fix
    assert len(asked) == 1


def test_a_full_disk_leaves_no_file_behind(tmp_path, monkeypatch):
    keep(tmp_path, {"x": some([0])})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (finding,) = keep(tmp_path, {"x": some()})
    assert "No space left on device" in finding.message
    monkeypatch.undo()
    assert all_files(tmp_path) == [entry_file(tmp_path)]
    assert_same(load(tmp_path, ["x"])[0], {"x": some([0])})


def test_an_interrupted_write_leaves_no_file_behind(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path, {"x": some()})
    assert all_files(tmp_path) == []


def test_what_a_killed_writer_left_is_cleaned_away(tmp_path):
    keep(tmp_path, {"x": some()})
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    folder = entry_file(tmp_path).parent
    stale = folder / f"statistics.{killed.pid}.abc.part"
    alive = folder / f"statistics.{os.getpid()}.abc.part"
    foreign = folder / "notes.txt"
    for path in (stale, alive, foreign):
        path.write_bytes(b"half")
    load(tmp_path, ["x"])
    assert not stale.exists()
    assert alive.exists()
    assert foreign.exists()
    os.utime(alive, (0, 0))
    load(tmp_path, ["x"])
    assert not alive.exists()


def test_a_writer_whose_folder_was_cleared_away_makes_it_again(tmp_path, monkeypatch):
    replace = Path.replace
    calls = []

    def cleared(self, target):
        calls.append(self)
        if len(calls) == 1:
            self.unlink()
            self.parent.rmdir()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", cleared)
    assert keep(tmp_path, {"x": some()}) == ()
    monkeypatch.undo()
    assert_same(load(tmp_path, ["x"])[0], {"x": some()})


def entry(folder, number, size_bytes=100):
    one = Entry(folder, f"{number:064x}")
    write_entry(one, b"x" * size_bytes)
    os.utime(one.path, (1000 + number, 1000 + number))
    return one


def kept_numbers(folder):
    return sorted(int(path.name, 16) for path in (folder / "calibration").iterdir())


def test_the_entries_used_last_stay(tmp_path):
    entries = [entry(tmp_path, number) for number in range(10)]
    prune_entries(entries[2], max_entries=4)
    assert kept_numbers(tmp_path) == [2, 7, 8, 9]


def test_many_bytes_are_too_many(tmp_path):
    entries = [entry(tmp_path, number) for number in range(10)]
    prune_entries(entries[0], max_bytes=350)
    assert kept_numbers(tmp_path) == [0, 8, 9]


def test_the_entry_in_use_stays_however_large_it_is(tmp_path):
    entries = [entry(tmp_path, number) for number in range(3)]
    prune_entries(entries[0], max_bytes=10)
    assert kept_numbers(tmp_path) == [0]


def test_loading_is_using(tmp_path):
    keep(tmp_path, {"x": some()})
    os.utime(entry_file(tmp_path), (0, 0))
    before = entry_file(tmp_path).stat().st_mtime
    load(tmp_path, ["x"])
    assert entry_file(tmp_path).stat().st_mtime > before


def test_what_is_not_ours_is_never_pruned(tmp_path):
    entries = [entry(tmp_path, number) for number in range(2)]
    strange = tmp_path / "calibration" / "mine"
    strange.mkdir()
    (strange / "statistics").write_text("mine")
    (entries[0].path.parent / "notes.txt").write_text("mine")
    prune_entries(entries[1], max_entries=1)
    assert (strange / "statistics").exists()
    assert [path.name for path in entries[0].path.parent.iterdir()] == ["notes.txt"]


def test_keeping_prunes_and_a_mere_hit_does_not(tmp_path):
    with open_cache(str(tmp_path), IDENTITY) as cache:
        cache.keep({"x": some()})
    for number in range(300):
        entry(tmp_path, number, 1)
    load(tmp_path, ["x"])
    assert len(kept_numbers(tmp_path)) == 301
    keep(tmp_path, {"x": some()})
    assert len(kept_numbers(tmp_path)) == 256
    assert set(load(tmp_path, ["x"])[0]) == {"x"}


WRITER = """
import sys
sys.path.insert(0, {folder!r})
import test_cache
for number in range(40):
    found, findings = test_cache.load(sys.argv[1], ["x"])
    assert findings == (), findings
    if found:
        test_cache.assert_same(found, {{"x": test_cache.some(seed=found_seed(found))}})
    assert test_cache.keep(sys.argv[1], {{"x": test_cache.some(seed=int(sys.argv[2]))}}) == ()
"""


def test_two_processes_do_not_harm_each_other(tmp_path):
    """Whoever reads finds the whole file of one or of the other."""
    code = WRITER.format(folder=str(Path(__file__).parent)).replace(
        "import test_cache\n",
        "import test_cache\n"
        "def found_seed(found):\n"
        "    lows = [test_cache.some(seed=seed).low for seed in (1, 2)]\n"
        "    return lows.index(found['x'].low) + 1\n",
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), seed],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in "12"
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (writer.returncode, errors) == (0, "")
    assert len(all_files(tmp_path)) == 1
