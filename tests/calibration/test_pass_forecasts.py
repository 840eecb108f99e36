"""How long several passes take is predicted from the first runs of each of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.calibration.effort import TIMED_PARTS
from onnxq.calibration.pass_forecasts import PassForecasts, cut_stints


def test_one_pass_is_not_cut():
    assert list(cut_stints([range(100)], 2)) == [(0, range(100))]
    assert list(cut_stints([], 2)) == []


def test_each_of_several_passes_is_begun_before_any_goes_on():
    first = 2 + TIMED_PARTS
    stints = list(cut_stints([range(30), range(first), range(40)], 2))
    assert stints == [
        (0, range(first)),
        (1, range(first)),
        (2, range(first)),
        (0, range(first, 30)),
        (2, range(first, 40)),
    ]


@given(st.lists(st.integers(0, 30)), st.integers(1, 4))
def test_every_run_is_in_one_stint_of_its_pass(counts, threads):
    found = {index: [] for index in range(len(counts))}
    for index, runs in cut_stints([range(count) for count in counts], threads):
        assert len(runs) > 0
        found[index] += runs
    assert found == {index: list(range(count)) for index, count in enumerate(counts)}


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def begin(forecasts, clock, index, opening_s, run_s):
    forecast = forecasts.begin(index)
    clock[0] += opening_s
    for _ in range(1 + TIMED_PARTS):
        clock[0] += run_s
        forecast.see()


def test_a_cheap_first_pass_does_not_stand_for_the_others(clock):
    forecasts = PassForecasts([100, 100], 1)
    begin(forecasts, clock, 0, 1.0, 0.5)
    assert forecasts.predicted_seconds == 1 + 50
    begin(forecasts, clock, 1, 3.0, 2.0)
    assert forecasts.run_seconds == 2.5
    assert forecasts.opening_seconds == 4
    assert forecasts.predicted_seconds == 4 + 4 + 250, "each is opened twice"


def test_a_pass_of_too_few_runs_leaves_all_unknown(clock):
    forecasts = PassForecasts([100, 3], 1)
    begin(forecasts, clock, 0, 1.0, 0.5)
    forecasts.begin(1).see()
    assert forecasts.predicted_seconds == forecasts.run_seconds == 0
