"""Whatever the threads, passes, batches of work and interruptions: the same bytes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.collecting import Collecting, NamedRuns, collect_statistics, keep_nothing
from onnxq.calibration.collection import open_collection
from onnxq.calibration.exposure import expose
from onnxq.calibration.feeds import Feeds
from onnxq.calibration.statistics import empty_statistics
from onnxq.errors import InferenceError, Interrupted, LimitError
from onnxq.events import Progressed, tell_nobody

ROWS = 40
TENSORS = ("x", "a", "b", "g", "y")
UNSOUND = 11


def net(batch="N"):
    """Conv, Relu, a Gelu that onnxruntime fuses if nobody looks into it, and a late Log."""
    generator = np.random.default_rng(2)
    weights = generator.standard_normal((16, 2, 3, 3)).astype(np.float32)
    node = helper.make_node
    constants = {"root": np.sqrt(np.float32(2)), "one": np.float32(1), "half": np.float32(0.5)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("Div", ["b", "root"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["f"]),
        node("Mul", ["b", "f"], ["h"]),
        node("Mul", ["h", "half"], ["g"]),
        node("ReduceMax", ["x"], ["m"], axes=[1, 2, 3], keepdims=1),
        node("Sub", ["fifty", "m"], ["left"]),
        node("Log", ["left"], ["late"]),  # NaN where x exceeds 50
        node("Add", ["g", "late"], ["y"]),
    ]
    constants["fifty"] = np.float32(50)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "net",
        [info("x", TensorProto.FLOAT, [batch, 2, 6, 6])],
        [info("y", TensorProto.FLOAT, [batch, 16, 6, 6])],
        [
            numpy_helper.from_array(weights, "w"),
            *(numpy_helper.from_array(value, name) for name, value in constants.items()),
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def values(rows=ROWS):
    return np.random.default_rng(0).standard_normal((rows, 2, 6, 6)).astype(np.float32)


def unsound_values():
    rows = values()
    rows[UNSOUND] += 100
    return rows


def runs_over(rows, batch_rows=1):
    feeds = Feeds({"x": rows}, batch_rows)
    return NamedRuns(feeds, tuple(f"photo{run}.jpg" for run in range(len(feeds))))


ONE_PASS = (TENSORS,)
EACH_ALONE = tuple((name,) for name in TENSORS)
TWO_PASSES = (TENSORS[:3], TENSORS[3:])


def collected(folder, rows, passes=ONE_PASS, *, threads=2, **options):
    """Collect through the whole chain; ``options`` are those of collect_statistics."""
    runs = rows if isinstance(rows, NamedRuns) else runs_over(rows)
    how = Collecting(passes=passes, threads=threads, stride=options.pop("stride", 1))
    with expose(options.pop("proto", net()), folder, TENSORS) as open_exposed:
        defaults = {
            "chosen": range(len(runs.feeds)),
            "start": {},
            "keep": keep_nothing,
            "tell": tell_nobody,
        }
        return collect_statistics(open_exposed, runs, how, **(defaults | options))


def as_bytes(statistics):
    return {
        name: [getattr(one, field).tobytes() for field in one.__dataclass_fields__]
        for name, one in sorted(statistics.items())
    }


def statistics_of(*args, **options):
    return collected(*args, **options).statistics


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return as_bytes(statistics_of(folder, unsound_values(), threads=1))


def test_an_unsound_run_is_taken_out_of_every_tensor(tmp_path):
    found = statistics_of(tmp_path, unsound_values())
    for name, one in found.items():
        assert one.row_seen.all()
        assert np.flatnonzero(~one.row_folded).tolist() == [UNSOUND], name
    assert [one.non_finite > 0 for one in found.values()] == [False] * 4 + [True]
    kept = np.delete(unsound_values(), UNSOUND, axis=0)
    np.testing.assert_array_equal(found["a"].counts, statistics_of(tmp_path, kept)["a"].counts)


@pytest.mark.parametrize("passes", [ONE_PASS, TWO_PASSES, EACH_ALONE], ids=len)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_passes_and_threads_change_no_bit(passes, threads, tmp_path, whole):
    found = statistics_of(tmp_path, unsound_values(), passes, threads=threads)
    assert as_bytes(found) == whole
    assert not list(tmp_path.iterdir())


def test_the_order_of_rows_changes_no_count(tmp_path):
    order = np.random.default_rng(5).permutation(ROWS)
    found = statistics_of(tmp_path, unsound_values())
    turned = statistics_of(tmp_path, unsound_values()[order])
    for name, one in found.items():
        np.testing.assert_array_equal(one.counts, turned[name].counts)
        np.testing.assert_array_equal(one.row_lows[order], turned[name].row_lows)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shards_merge_to_the_same_bytes(order, tmp_path, whole):
    shards = [
        statistics_of(tmp_path, unsound_values(), passes, chosen=range(number, ROWS, 3))
        for number, passes in enumerate((ONE_PASS, TWO_PASSES, EACH_ALONE))
    ]
    merged = {name: empty_statistics(ROWS) for name in TENSORS}
    for number in order:
        merged = {name: one.merge(shards[number][name]) for name, one in merged.items()}
    assert as_bytes(merged) == whole


@pytest.mark.parametrize("seed", range(4))
def test_it_goes_on_from_whatever_is_known(seed, tmp_path, whole):
    """Each tensor knows other runs, and some none, as a checkpoint in the midst of runs has it."""
    generator = np.random.default_rng(seed)
    start = {}
    for name in TENSORS[seed:]:
        mine = np.flatnonzero(generator.random(ROWS) < 0.5).tolist()
        start |= statistics_of(tmp_path, unsound_values(), ((name,),), chosen=mine)
    found = statistics_of(tmp_path, unsound_values(), TWO_PASSES, start=start)
    assert as_bytes(found) == whole


def test_what_is_known_is_not_run_again(tmp_path, whole):
    known = statistics_of(tmp_path, unsound_values())
    told = []
    again = collected(tmp_path, unsound_values(), start=known, tell=told.append)
    assert as_bytes(again.statistics) == whole
    assert not told


def test_a_checkpoint_at_any_time_is_one_to_go_on_from(tmp_path, whole):
    snapshots = []

    def keep(snapshot):
        snapshots.append(dict(snapshot().items()))

    collected(tmp_path, unsound_values(), TWO_PASSES, keep=keep)
    assert len(snapshots) == 2 * ROWS
    for start in snapshots[::17]:
        found = statistics_of(tmp_path, unsound_values(), TWO_PASSES, start=start)
        assert as_bytes(found) == whole


def test_snapshots_are_not_made_where_nobody_takes_them(monkeypatch):
    monkeypatch.setattr("onnxq.calibration.collecting._Snapshot.__getitem__", None)
    offered = []
    how = Collecting(passes=(("x",),), threads=1)
    with pytest.raises(TypeError):  # settling is the first that looks
        collect_statistics(
            lambda _: None, runs_over(values()), how,
            chosen=range(ROWS), start={}, keep=offered.append, tell=tell_nobody,
        )  # fmt: skip
    assert len(offered) == ROWS


@pytest.mark.parametrize("batch_rows", [4, 8])
def test_other_batches_agree_within_a_bin(batch_rows, tmp_path):
    """Kernels of other batch sizes may round otherwise, so a value may cross a bin's edge."""
    single = statistics_of(tmp_path, values())
    batched = statistics_of(
        tmp_path, runs_over(values(), batch_rows), proto=net(batch=batch_rows), threads=2
    )
    for name, one in single.items():
        other = batched[name]
        assert other.count == one.count
        moved = np.abs(np.cumsum(one.counts) - np.cumsum(other.counts)).max()
        assert moved <= 1e-3 * one.count, name
        np.testing.assert_allclose([one.low, one.high], [other.low, other.high], rtol=1e-5)


def test_a_tensor_alone_is_an_input_and_no_model_is_loaded():
    def open_nothing(tensors):
        raise AssertionError(tensors)

    found = collect_statistics(
        open_nothing, runs_over(values()), Collecting(passes=(("x",),), threads=1),
        chosen=range(ROWS), start={}, keep=keep_nothing, tell=tell_nobody,
    )  # fmt: skip
    assert found.statistics["x"].count == values().size


def test_progress_is_told_from_the_calling_thread(tmp_path):
    told = []

    def tell(event):
        told.append((event, threading.get_ident()))

    collected(tmp_path, values(6), TWO_PASSES, tell=tell)
    assert told == [
        (Progressed(stage="calibrate", done=done, total=12), threading.get_ident())
        for done in range(1, 13)
    ]


class Watched:
    """Rows, and how many of them were run."""

    def __init__(self, rows):
        self.rows = rows
        self.fetched = 0

    def open(self, _tensors):
        def predict(inputs):
            self.fetched += 1
            time.sleep(0.0005)
            return {"a": inputs["x"]}

        return predict


def collect_watched(watched, *, threads=2, tell=tell_nobody, keep=keep_nothing):
    how = Collecting(passes=(("a",),), threads=threads)
    return collect_statistics(
        watched.open, runs_over(watched.rows), how,
        chosen=range(len(watched.rows)), start={}, keep=keep, tell=tell,
    )  # fmt: skip


def test_no_more_runs_wait_than_threads_can_take(monkeypatch):
    begun, told = [], [0]
    submit = ThreadPoolExecutor.submit

    def counting(pool, *args):
        begun.append(len(begun) + 1 - told[-1])
        return submit(pool, *args)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counting)
    collect_watched(Watched(values(300)), tell=lambda event: told.append(event.done))
    assert len(begun) == 300
    assert max(begun) <= 4


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), Interrupted("stop", code="OQ184", hint="-")], ids=repr
)
def test_an_interruption_ends_it_soon_and_keeps_what_is_known(error):
    watched, kept = Watched(values(400)), []

    def tell(event):
        if event.done == 20:
            raise error

    with pytest.raises(type(error)):
        collect_watched(watched, tell=tell, keep=kept.append)
    assert watched.fetched < 30
    assert kept[-1]()["a"].row_seen.sum() == watched.fetched


def test_a_failing_run_is_named_and_ends_it():
    watched = Watched(values(400))

    def open_failing(tensors):
        predict = watched.open(tensors)

        def fail(inputs):
            if watched.fetched == 10:
                message = "bad row"
                raise InferenceError(message, code="OQ173", hint="-")
            return predict(inputs)

        return fail

    with pytest.raises(InferenceError, match=r"stopped at row photo\d+.jpg: bad row"):
        collect_statistics(
            open_failing, runs_over(watched.rows), Collecting(passes=(("a",),), threads=1),
            chosen=range(400), start={}, keep=keep_nothing, tell=tell_nobody,
        )  # fmt: skip
    assert watched.fetched <= 12


def test_time_is_predicted_after_the_first_runs():
    found = collect_watched(Watched(values(200)))
    assert 0.3 * found.seconds < found.predicted_seconds < 3 * found.seconds
    assert collect_watched(Watched(values(4))).predicted_seconds == 0


def wide(branches=6, mb=4):
    """Tensors of known bytes: x [N, 1, 1024 K] times a constant, ``branches`` times."""
    size = mb * 250_000
    nodes = [
        helper.make_node("Mul", ["x" if i == 0 else f"t{i - 1}", "c"], [f"t{i}"])
        for i in range(branches)
    ]
    nodes.append(helper.make_node("ReduceMax", [f"t{branches - 1}"], ["y"], axes=[1]))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "wide",
        [info("x", TensorProto.FLOAT, ["N", size])],
        [info("y", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(np.float32([1.01]), "c")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def collect_wide(folder, memory_bytes, rows=12):
    proto = wide()
    tensors = tuple(f"t{i}" for i in range(6))
    values = np.random.default_rng(0).standard_normal((rows, 1_000_000)).astype(np.float32)
    with open_collection(
        proto, tensors, runs_over(values), folder, memory_bytes=memory_bytes, threads=2
    ) as collection:
        found = collection.collect(range(rows), start={}, keep=keep_nothing, tell=tell_nobody)
        return collection.plan, collection.read_effort(), as_bytes(found.statistics)


def test_a_cap_on_memory_is_kept_and_changes_no_bit(tmp_path):
    free, taken, expected = collect_wide(tmp_path, 0)
    assert (len(free.passes), free.threads) == (1, 2)
    assert taken.peak_bytes > 40 * 10**6
    cap = 45 * 10**6
    plan, effort, found = collect_wide(tmp_path, cap)
    assert plan.passes != free.passes or plan.threads < free.threads
    assert plan.predicted_peak_bytes <= cap
    assert effort.peak_bytes <= cap * 1.1
    assert found == expected


def test_several_passes_are_predicted_from_runs_of_each(tmp_path):
    proto, rows = wide(mb=1), 30
    values = np.random.default_rng(0).standard_normal((rows, 250_000)).astype(np.float32)
    tensors = tuple(f"t{i}" for i in range(6))
    with open_collection(
        proto, tensors, runs_over(values), tmp_path, memory_bytes=0, threads=1
    ) as collection:
        passes = (tensors[:1], tensors[1:3], tensors[3:])
        several = replace(collection, plan=replace(collection.plan, passes=passes))
        found = several.collect(range(rows), start={}, keep=keep_nothing, tell=tell_nobody)
        one = collection.collect(range(rows), start={}, keep=keep_nothing, tell=tell_nobody)
    assert found.predicted_seconds > found.run_seconds * rows
    assert 0.2 * found.seconds < found.predicted_seconds < 5 * found.seconds
    assert as_bytes(found.statistics) == as_bytes(one.statistics)


def test_a_cap_that_nothing_fits_is_refused_before_any_row_runs(tmp_path):
    with pytest.raises(LimitError, match="one activation and one run at a time") as caught:
        collect_wide(tmp_path, 10**6)
    assert caught.value.code == "OQ185"
    assert not list(tmp_path.iterdir())


def test_sizes_that_depend_on_values_are_found_by_running(tmp_path):
    node = helper.make_node
    nodes = [
        node("NonZero", ["x"], ["n"]),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("Relu", ["f"], ["r"]),
        node("ReduceMax", ["r"], ["y"], axes=[1]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info("x", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    with open_collection(
        proto, ("r",), runs_over(values(5)), tmp_path, memory_bytes=0, threads=1
    ) as collection:
        found = collection.collect(range(5), start={}, keep=keep_nothing, tell=tell_nobody)
    assert found.statistics["r"].count == 5 * 4 * 72


def test_the_net_is_a_model():
    onnx.checker.check_model(net())
