from onnxq.calibration.checkpoints import MOST_SHARE, Checkpoints
from onnxq.calibration.statistics import empty_statistics


class Clock:
    """A clock that a test winds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def runs(*, run_seconds, keep_seconds, count):
    """Return how many of some runs were kept, and the share of the time that this took."""
    clock, kept = Clock(), []

    def keep(statistics):
        kept.append(statistics)
        clock.now += keep_seconds

    checkpoints = Checkpoints(keep, clock=clock)
    for run in range(count):
        clock.now += run_seconds
        checkpoints(lambda run=run: {f"run{run}": empty_statistics(1)})
    return kept, len(kept) * keep_seconds / (clock.now - 100.0)


def test_a_short_calibration_keeps_nothing():
    assert runs(run_seconds=0.01, keep_seconds=0.01, count=190)[0] == []


def test_one_is_kept_every_few_seconds():
    kept, share = runs(run_seconds=0.125, keep_seconds=2**-10, count=800)
    assert [next(iter(one)) for one in kept[:2]] == ["run15", "run31"]
    assert share < 0.001


def test_costly_ones_are_kept_seldom():
    kept, share = runs(run_seconds=0.1, keep_seconds=1.0, count=3000)
    assert 3 <= len(kept) <= 6
    assert share <= MOST_SHARE + 0.001


def test_nothing_is_copied_before_it_is_time():
    checkpoints = Checkpoints(lambda _: None, clock=Clock())

    def copied():
        raise AssertionError

    checkpoints(copied)
