from functools import reduce

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.calibration.collected_statistics import (
    CollectedStatistics,
    StatisticsIdentity,
    check_complete,
    check_identity,
    is_settled,
    merge_collected,
)
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.calibration.statistics_files import encode_statistics
from onnxq.errors import DatasetError, UsageError

RUNS = 8
IDENTITY = StatisticsIdentity(
    model_sha256="a" * 64, rows_sha256="b" * 64, batch_rows=1, runs=RUNS, onnxruntime="1.31.1"
)
NAMES = tuple(f"photo{run}.jpg" for run in range(RUNS))


def part(chosen, *, tensors=("x", "y"), names=NAMES, **changed):
    found = {}
    for name in tensors:
        collector = StatisticsCollector(empty_statistics(RUNS))
        for run in chosen:
            generator = np.random.default_rng((run, len(name)))
            collector.fold(run, generator.standard_normal(30).astype(np.float32))
        found[name] = collector.statistics()
    return CollectedStatistics(
        identity=msgspec.structs.replace(IDENTITY, **changed),
        row_names=names,
        given_rows=RUNS + 1,
        dropped_rows=1,
        tensors=found,
    )


def merged(parts):
    return merge_collected({f"part{number}": one for number, one in enumerate(parts)})


@given(st.lists(st.integers(0, 3), min_size=RUNS, max_size=RUNS), st.permutations(range(4)))
def test_parts_give_the_bytes_of_the_whole_in_any_order_and_grouping(owners, order):
    parts = [part([run for run in range(RUNS) if owners[run] == owner]) for owner in order]
    whole = encode_statistics(part(range(RUNS)))
    assert encode_statistics(merged(parts)) == whole
    assert encode_statistics(reduce(lambda a, b: merged((a, b)), parts)) == whole
    assert encode_statistics(merged((parts[0], merged(parts[1:])))) == whole


def test_one_part_is_itself():
    assert encode_statistics(merged([part([1])])) == encode_statistics(part([1]))


def test_parts_that_name_rows_otherwise_have_one_result():
    parts = part([0], names=tuple("hgfedcba")), part([1])
    forwards, backwards = merged(parts), merged(parts[::-1])
    assert forwards.row_names == tuple("hgfedcba")
    assert encode_statistics(forwards) == encode_statistics(backwards)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_sha256": "c" * 64}, "is of another model: model_sha256 is 'ccc"),
        ({"rows_sha256": "c" * 64}, "is of other rows"),
        ({"batch_rows": 4}, "is of other batches: batch_rows is 4, expected 1"),
        ({"stride": 7}, "is of another --histogram-sample: stride is 7, expected 1"),
        ({"onnxruntime": "1.32"}, "is of another onnxruntime"),
        ({"stop_early": True}, "is of another --calib-rows"),
        ({"version": 2}, "is of another version of onnxq"),
    ],
)
def test_parts_of_something_else_are_refused(changed, words):
    with pytest.raises(UsageError) as caught:
        merged([part([0]), part([1], **changed)])
    assert caught.value.code == "OQ147"
    assert f"part1 {words}" in caught.value.message
    assert "same model, rows and options" in caught.value.hint


def test_every_field_of_the_identity_is_compared():
    for field in StatisticsIdentity.__struct_fields__:
        value = getattr(IDENTITY, field)
        other = not value if isinstance(value, bool) else value * 2
        with pytest.raises(UsageError, match=field):
            check_identity(
                msgspec.structs.replace(IDENTITY, **{field: other}), IDENTITY, origin="it"
            )
    check_identity(IDENTITY, IDENTITY, origin="it")


def test_rows_that_two_parts_have_are_named():
    with pytest.raises(UsageError) as caught:
        merged([part(range(6)), part(range(1, 8))])
    assert "photo1.jpg, photo2.jpg, photo3.jpg and 2 more would count twice" in caught.value.message
    assert "as part1 has" in caught.value.message


def test_parts_of_different_tensors_are_refused():
    with pytest.raises(UsageError, match="only part0 has 'y'"):
        merged([part([0]), part([1], tensors=("x",))])
    with pytest.raises(UsageError, match="only part1 has 'z'"):
        merged([part([0]), part([1], tensors=("x", "y", "z"))])


def test_parts_of_other_rows_in_number_are_refused():
    other = part([1])
    fewer = CollectedStatistics(
        identity=other.identity,
        row_names=other.row_names,
        given_rows=RUNS,
        dropped_rows=0,
        tensors=other.tensors,
    )
    with pytest.raises(UsageError, match="given and dropped rows"):
        merged([part([0]), fewer])


def test_rows_that_no_part_has_are_named():
    some = merged([part([0, 1]), part([4])])
    assert not some.is_complete
    with pytest.raises(DatasetError) as caught:
        check_complete(some)
    assert caught.value.code == "OQ147"
    assert "of 3 of 8 runs: rows photo2.jpg, photo3.jpg, photo5.jpg and 2 more are missing" in (
        caught.value.message
    )


@pytest.mark.parametrize(
    ("total", "given", "words", "shard"),
    [
        (2, [0], "part 2 of 2, that is rows photo1.jpg, photo3.jpg, photo5.jpg and 1 more", "2/2"),
        (3, [0, 1], "part 3 of 3, that is rows photo2.jpg and photo5.jpg are missing.", "3/3"),
        (4, [0, 2], "parts 2 and 4 of 4, that is rows photo1.jpg, ", "2/4"),
        (5, [1, 4], "parts 1, 3 and 4 of 5, that is rows ", "1/5"),
    ],
)
def test_parts_that_are_missing_are_told_by_their_numbers(total, given, words, shard):
    parts = [part(range(number, RUNS, total)) for number in given]
    with pytest.raises(DatasetError) as caught:
        check_complete(merged(parts), parts=[one.runs_seen for one in parts])
    assert words in caught.value.message
    assert caught.value.hint.startswith(f"Calibrate with --shard {shard} too")


def test_parts_that_are_no_shards_are_told_by_their_rows():
    parts = [part([0, 1]), part([4])]
    with pytest.raises(DatasetError, match="of 3 of 8 runs: rows photo2") as caught:
        check_complete(merged(parts), parts=[one.runs_seen for one in parts])
    assert "--shard" not in caught.value.hint


def test_all_rows_are_complete():
    whole = merged([part([0, 1, 2, 3]), part([4, 5, 6, 7])])
    assert whole.is_complete
    check_complete(whole)


def test_what_stopped_early_need_not_have_all_rows():
    check_complete(part([0, 1], stop_early=True))
    with pytest.raises(DatasetError, match="0 of 8 runs"):
        check_complete(part([], stop_early=True))


def test_a_tensor_that_lacks_a_run_makes_the_whole_incomplete():
    one, other = part(range(8), tensors=("x",)), part(range(7), tensors=("y",))
    uneven = CollectedStatistics(
        identity=IDENTITY,
        row_names=NAMES,
        given_rows=RUNS,
        dropped_rows=0,
        tensors={**one.tensors, **other.tensors},
    )
    assert uneven.runs_seen.tolist() == [True] * 7 + [False]
    assert not uneven.is_complete


def test_a_run_that_is_not_sound_must_be_taken_out_of_all_tensors():
    sound, unsound = part([0, 1]).tensors["x"], part([0, 1]).tensors["y"]
    assert is_settled({})
    assert is_settled({"x": sound, "y": unsound})
    unsound.row_non_finite[2] = 4
    assert is_settled({"x": sound, "y": unsound})
    unsound.row_non_finite[1] = 4
    assert not is_settled({"x": sound, "y": unsound})


def test_without_tensors_nothing_is_missing():
    check_complete(merged([part([0], tensors=()), part([1], tensors=())]))


def test_numbers_of_runs_must_agree():
    with pytest.raises(ValueError, match="runs differ"):
        CollectedStatistics(
            identity=IDENTITY, row_names=("a",), given_rows=1, dropped_rows=0, tensors={}
        )
