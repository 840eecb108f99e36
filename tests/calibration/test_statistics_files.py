import hashlib
import tracemalloc
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxq.calibration.collected_statistics import CollectedStatistics, StatisticsIdentity
from onnxq.calibration.statistics import (
    BINS,
    StatisticsCollector,
    TensorStatistics,
    empty_statistics,
)
from onnxq.calibration.statistics_files import (
    MAGIC,
    MAX_TENSORS,
    decode_blobs,
    decode_statistics,
    encode_blobs,
    encode_statistics,
    read_statistics_file,
    write_statistics_file,
)
from onnxq.calibration.tensor_blobs import DamagedBlobError, decode_tensor, encode_tensor
from onnxq.errors import DatasetError

RUNS = 5
ROW = hnp.arrays(np.float32, st.integers(0, 8), elements=st.floats(width=32))
CHOSEN = st.sets(st.integers(0, RUNS - 1))


def identity_of(runs=RUNS, **changed):
    fields = {
        "model_sha256": "a" * 64,
        "rows_sha256": "sha256:" + "b" * 64,
        "batch_rows": 1,
        "runs": runs,
        "onnxruntime": "1.31.1",
    }
    return StatisticsIdentity(**(fields | changed))


@st.composite
def statistics_of_some_runs(draw):
    collector = StatisticsCollector(empty_statistics(RUNS), stride=draw(st.integers(1, 3)))
    for run in draw(CHOSEN):
        values = draw(ROW)
        collector.fold(run, values)
        if values.size and np.isfinite(values).all() and draw(st.booleans()):
            collector.fold_out(run, values)
    return collector.statistics()


@st.composite
def collected(draw):
    tensors = draw(st.dictionaries(st.text(max_size=6), statistics_of_some_runs(), max_size=3))
    names = draw(st.lists(st.text(max_size=6), min_size=RUNS, max_size=RUNS))
    dropped = draw(st.integers(0, 4))
    return CollectedStatistics(
        identity=identity_of(),
        row_names=tuple(names),
        given_rows=RUNS + dropped,
        dropped_rows=dropped,
        tensors=tensors,
    )


def some_statistics(runs=RUNS, tensors=("conv1", "relu1"), seed=0):
    generator = np.random.default_rng(seed)
    found = {}
    for name in tensors:
        collector = StatisticsCollector(empty_statistics(runs))
        for run in range(runs):
            collector.fold(run, generator.standard_normal(200).astype(np.float32))
        found[name] = collector.statistics()
    return CollectedStatistics(
        identity=identity_of(runs),
        row_names=tuple(f"photo{run}.jpg" for run in range(runs)),
        given_rows=runs,
        dropped_rows=0,
        tensors=found,
    )


def assert_equal(one, other):
    for name in ("identity", "row_names", "given_rows", "dropped_rows"):
        assert getattr(one, name) == getattr(other, name)
    assert set(one.tensors) == set(other.tensors)
    for name, statistics in one.tensors.items():
        assert_same_statistics(statistics, other.tensors[name])


def assert_same_statistics(one, other):
    for field in ("counts", "row_seen", "row_lows", "row_highs", "row_non_finite"):
        found, expected = getattr(one, field), getattr(other, field)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def resealed(payload):
    """A file whose checksum is right, whatever it holds."""
    return MAGIC + hashlib.sha256(payload).digest() + payload


def payload_of(data):
    return data[len(MAGIC) + 32 :]


def refusal(data):
    with pytest.raises(DatasetError) as caught:
        decode_statistics(data, origin="part.statistics")
    assert caught.value.code == "OQ146"
    assert caught.value.message.startswith("part.statistics holds no statistics")
    assert caught.value.hint
    return caught.value.message


@given(collected())
def test_what_is_written_is_read(statistics):
    found = decode_statistics(encode_statistics(statistics), origin="x")
    assert_equal(found, statistics)
    assert encode_statistics(found) == encode_statistics(statistics)


@given(collected())
def test_the_order_of_tensors_changes_no_byte(statistics):
    turned = msgspec.structs.replace(statistics.identity)
    backwards = CollectedStatistics(
        identity=turned,
        row_names=statistics.row_names,
        given_rows=statistics.given_rows,
        dropped_rows=statistics.dropped_rows,
        tensors=dict(reversed(statistics.tensors.items())),
    )
    assert encode_statistics(backwards) == encode_statistics(statistics)


def test_the_sign_of_an_extreme_zero_changes_no_byte():
    """Instruction sets disagree on the least of -0 and 0, and so do ways of counting."""
    plain, signed = (empty_statistics(1) for _ in range(2))
    for one, zero in ((plain, 0.0), (signed, -0.0)):
        one.row_seen[0], one.row_lows[0], one.row_highs[0], one.counts[0] = True, zero, zero, 1
    assert encode_tensor("x", plain) == encode_tensor("x", signed)


def test_a_file_keeps_them(tmp_path):
    path = tmp_path / "net.statistics"
    write_statistics_file(path, some_statistics())
    assert_equal(read_statistics_file(path), some_statistics())


def test_a_file_says_what_it_is():
    assert encode_statistics(some_statistics()).startswith(b"onnxq statistics 1\n")


def test_counts_take_the_width_that_they_need():
    sizes = []
    for count in (200, 60_000, 2**31, 2**40):
        statistics = some_statistics(1, ("x",)).tensors["x"]
        occupied = np.flatnonzero(statistics.counts)
        statistics.counts[occupied[0]] = count
        blob = encode_tensor("x", statistics)
        sizes.append((len(blob), len(occupied)))
        assert_same_statistics(decode_tensor(blob, 1)[1], statistics)
    lengths, occupied = [size for size, _ in sizes], sizes[0][1]
    grown = [after - before for before, after in pairwise(lengths)]
    assert grown == pytest.approx([occupied, 2 * occupied, 4 * occupied], abs=4)


@given(st.data())
def test_a_flipped_bit_is_noticed(data):
    encoded = bytearray(encode_statistics(some_statistics()))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= 1 << data.draw(st.integers(0, 7))
    refusal(bytes(encoded))


@given(st.data())
def test_a_cut_is_noticed(data):
    encoded = encode_statistics(some_statistics())
    refusal(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    refusal(encoded + data.draw(st.binary(min_size=1, max_size=20)))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    refusal(data)
    refusal(MAGIC + data)
    refusal(resealed(data))


@settings(max_examples=300)
@given(st.data())
def test_a_forged_checksum_leads_to_statistics_that_make_sense_or_to_a_refusal(data):
    payload = bytearray(payload_of(encode_statistics(some_statistics(2, ("a",)))))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_statistics(resealed(bytes(payload)), origin="part.statistics")
    except DatasetError:
        return
    for one in found.tensors.values():
        assert one.count >= 0
        assert len(one.row_seen) == found.identity.runs
        assert np.isfinite([one.low, one.high]).all() or not one.row_folded.any()


@pytest.mark.parametrize(
    "head", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 50_000]
)
def test_sizes_that_are_only_declared_take_no_memory(head):
    tracemalloc.start()
    refusal(resealed(head))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


def test_a_file_that_asks_for_billions_of_runs_takes_no_memory():
    encoded = msgspec.msgpack.decode(payload_of(encode_statistics(some_statistics())))
    encoded[0]["runs"] = 2**40
    tracemalloc.start()
    assert "runs are wrong" in refusal(resealed(msgspec.msgpack.encode(encoded)))
    encoded[0]["runs"] = 2**27
    assert "names of runs are missing" in refusal(resealed(msgspec.msgpack.encode(encoded)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


def test_a_file_that_asks_for_too_many_tensors_is_refused():
    tensor = some_statistics(1, ("x",)).tensors["x"]
    blobs = {f"{index:05}": encode_tensor(f"{index:05}", tensor) for index in range(3)}
    few = msgspec.msgpack.decode(payload_of(encode_blobs(identity_of(1), blobs)))
    few[4] = [few[4][0]] * (MAX_TENSORS + 1)
    few[1] = ["run"]
    assert f"more than {MAX_TENSORS} tensors" in refusal(resealed(msgspec.msgpack.encode(few)))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (1, ["a"], "names of runs are missing"),
        (2, -1, "its rows are wrong"),
        (3, 99, "its rows are wrong"),
        (3, "none", "Expected `int`"),
        (4, [b"\xc1"], "invalid opcode"),
        (0, {}, "missing required field"),
    ],
)
def test_what_contradicts_itself_is_refused(place, value, words):
    content = msgspec.msgpack.decode(payload_of(encode_statistics(some_statistics())))
    content[place] = value
    assert words in refusal(resealed(msgspec.msgpack.encode(content)))


def test_tensors_out_of_order_are_refused():
    content = msgspec.msgpack.decode(payload_of(encode_statistics(some_statistics())))
    content[4] = content[4][::-1]
    assert "out of order" in refusal(resealed(msgspec.msgpack.encode(content)))


def changed(**arrays):
    fields = ("counts", "row_seen", "row_lows", "row_highs", "row_non_finite")
    statistics = some_statistics(3, ("x",)).tensors["x"]
    return TensorStatistics(**({name: getattr(statistics, name) for name in fields} | arrays))


INFINITE = np.zeros(BINS, np.int64)
INFINITE[0x7F80] = 1
FAR = np.zeros(BINS, np.int64)
FAR[0x4780] = 1  # 65536


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (changed(counts=INFINITE), "bins are not finite"),
        (changed(counts=FAR), "beyond the extremes"),
        (changed(row_seen=np.array([True, False, True])), "not seen"),
        (changed(row_lows=np.array([9, 0, 0], np.float32)), "inverted"),
        (changed(row_lows=np.full(3, np.nan, np.float32)), "inverted"),
        (changed(row_lows=np.full(3, -np.inf, np.float32)), "not finite"),
        (changed(row_highs=np.full(3, np.inf, np.float32)), "not finite"),
        (changed(row_non_finite=np.array([1, 0, 0])), "both ways"),
        (changed(counts=np.full(BINS, 2**60)), "bins are not finite"),
    ],
)
def test_statistics_that_no_rows_give_are_refused(statistics, words):
    with pytest.raises(DamagedBlobError, match=words):
        decode_tensor(encode_tensor("x", statistics), 3)


def test_bytes_beyond_the_last_run_are_refused():
    blob = encode_tensor("x", some_statistics(3, ("x",)).tensors["x"])
    for runs in (2, 4):
        with pytest.raises(DamagedBlobError, match="rows are missing"):
            decode_tensor(blob, runs)


@pytest.mark.parametrize("data", [b"", b"onnxq statistics 2\nmore", b"PK\x03\x04"])
def test_other_files_are_told_apart(data):
    assert ("newer onnxq" in refusal(data)) == data.startswith(b"onnxq")


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.statistics") as caught:
        read_statistics_file(tmp_path / "nowhere.statistics")
    assert caught.value.code == "OQ127"


def test_a_large_file_of_another_kind_is_not_read(tmp_path):
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(10**9)
    tracemalloc.start()
    with pytest.raises(DatasetError, match="does not begin as statistics do"):
        read_statistics_file(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_blobs_of_tensors_travel_as_they_are():
    blobs = {name: encode_tensor(name, one) for name, one in some_statistics().tensors.items()}
    identity, found = decode_blobs(encode_blobs(identity_of(), blobs), origin="entry")
    assert (identity, found) == (identity_of(), blobs)
    with pytest.raises(DatasetError, match="entry holds no statistics"):
        decode_blobs(b"", origin="entry")
