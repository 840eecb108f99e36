import pytest

from onnxq.calibration.memory import Probe, plan_collecting, statistics_bytes
from onnxq.errors import LimitError

MB = 10**6
STATISTICS = statistics_bytes(1, 100)


def probe(*tensor_mb, session=50, opening=60, preparing=0, run=0):
    return Probe(
        base_bytes=7,
        preparing_bytes=preparing * MB,
        opening_bytes=opening * MB,
        session_bytes=session * MB,
        run_bytes=run * MB,
        input_bytes=5 * MB,
        activation_bytes=2 * sum(tensor_mb) * MB,
        counting_bytes=2 * MB,
        tensor_bytes={f"t{i}": size * MB for i, size in enumerate(tensor_mb)},
    )


def planned(found, cap_mb, threads=2):
    return plan_collecting(found, runs=100, cap_bytes=int(cap_mb * MB), threads=threads)


def test_one_pass_where_there_is_room():
    plan = planned(probe(10, 20, 30), 1000)
    assert plan.passes == (("t0", "t1", "t2"),)
    assert (plan.threads, plan.cap_bytes, plan.base_bytes) == (2, 1000 * MB, 7)
    assert plan.predicted_peak_bytes == 3 * STATISTICS + (50 + 2 * (5 + 2 + 60)) * MB


def test_statistics_that_are_known_already_are_counted():
    found = probe(10, 20, 30)
    alone = planned(found, 1000)
    beside = plan_collecting(found, runs=100, cap_bytes=1000 * MB, threads=2, copies=3)
    assert beside.predicted_peak_bytes - alone.predicted_peak_bytes == 2 * 3 * STATISTICS


def test_what_a_run_holds_anyway_is_counted_once():
    """Half of all activations is watched: so is half of what is alive at any time."""
    plan = planned(probe(10, 20, 30, run=8), 1000)
    assert plan.predicted_peak_bytes == 3 * STATISTICS + (50 + 2 * (5 + 2 + 60 + 4)) * MB


def test_a_thread_is_given_up_before_a_pass_is_added():
    """Two passes by two threads are as quick as one by one, and take twice its CPU time."""
    plan = planned(probe(30, 30), 50 + 2 * 37 + 10)
    assert (plan.threads, plan.passes) == (1, (("t0", "t1"),))


def test_passes_are_added_where_one_thread_does_not_suffice():
    plan = planned(probe(30, 30, 30), 50 + 7 + 60 + 5)
    assert (plan.threads, plan.passes) == (1, (("t0", "t1"), ("t2",)))


def test_many_threads_in_two_passes_are_quicker_than_one():
    plan = planned(probe(30, 30), 50 + 9 * 37 + 1.1, threads=9)  # 4 threads could do it in one
    assert (plan.threads, len(plan.passes)) == (9, 2)


@pytest.mark.parametrize("cap_mb", [95, 100, 120, 150, 200, 400])
def test_every_plan_keeps_its_cap(cap_mb):
    found = probe(*[3, 1, 20, 7, 7, 30, 2] * 2)
    plan = planned(found, cap_mb, threads=4)
    assert plan.predicted_peak_bytes <= plan.cap_bytes
    assert [name for names in plan.passes for name in names] == list(found.tensor_bytes)


def test_no_more_threads_than_runs():
    plan = plan_collecting(probe(1), runs=1, cap_bytes=1000 * MB, threads=8)
    assert plan.threads == 1


def test_too_little_is_refused_with_what_would_do():
    with pytest.raises(LimitError, match=r"takes 8\d MB.* 80 MB are allowed") as caught:
        planned(probe(30, 20, 30), 80)
    assert caught.value.code == "OQ185"
    needed = int(caught.value.hint.split("--max-memory ")[1].split("MB")[0])
    assert len(planned(probe(30, 20, 30), needed).passes) == 3


@pytest.mark.parametrize("part", ["opening", "preparing"])
def test_loading_may_be_what_takes_the_most(part):
    found = probe(1, **{part: 300})
    with pytest.raises(LimitError, match="takes 30"):
        planned(found, 200)
    assert planned(found, 400).predicted_peak_bytes // MB in (300, 301)


def test_nothing_to_watch_takes_no_pass():
    plan = planned(probe(session=0, opening=0), 1)
    assert (plan.passes, plan.predicted_peak_bytes) == ((), 0)
