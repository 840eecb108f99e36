"""The protocol with simulated processes: the clock is simulated, so nothing is waited for."""

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from onnxq.errors import InferenceError, Interrupted, StageError
from onnxq.events import Progressed, tell_nobody
from onnxq.profiling.latency import (
    LEAST_BLOCKS,
    LEAST_ROUNDS,
    LEAST_RUNS,
    MOST_ROUNDS,
    measure_latencies,
    turn_order,
)
from onnxq.profiling.latency_findings import _duration
from onnxq.profiling.latency_study import summarize_turn
from onnxq.stages import TurnTimes

OPEN_S = 0.17
SWITCH_S = 0.0003
LOAD_NS, PEAK_BYTES = 5_000_000, 60_000_000


@dataclass
class Machine:
    """Processes differ by a factor each, runs scatter upwards, and some take twice as long."""

    us: dict[str, float]
    seed: int = 0
    process_sd: float = 0.0
    turn_sd: float = 0.0
    run_sd: float = 0.0
    spikes: float = 0.0
    wall_over_cpu: float = 1.0
    two_threads: float = 1.6
    fails: dict[str, int] = field(default_factory=dict)
    error: Exception | None = None
    now_s: float = 0.0
    opened: Counter = field(default_factory=Counter)
    alive: set = field(default_factory=set)
    most_alive: int = 0
    asked: list = field(default_factory=list)

    def __post_init__(self):
        self.random = np.random.default_rng(self.seed)

    def clock(self):
        return self.now_s

    @contextmanager
    def open(self, name):
        self.now_s += OPEN_S
        self.opened[name] += 1
        self.alive.add(name)
        self.most_alive = max(self.most_alive, len(self.alive))
        own_ns = self.us[name] * 1e3 * math.exp(self.random.normal(0, self.process_sd))
        try:
            yield lambda turn: self.answer(name, own_ns, turn)
        finally:
            self.alive.discard(name)

    def answer(self, name, own_ns, turn):
        self.asked.append((name, turn))
        if self.fails.get(name) == self.opened[name]:
            raise self.error or InferenceError("it broke.", code="OQ173", hint="Mend it.")
        base = own_ns if turn.threads == 1 else own_ns / self.two_threads
        runs = max(turn.least_runs, int(turn.budget_ns / base)) if turn.least_runs else 0
        cpu = base * (1 + np.abs(self.random.normal(0, self.run_sd, runs)))
        cpu *= np.where(self.random.random(runs) < self.spikes, 2, 1)
        cpu *= math.exp(self.random.normal(0, self.turn_sd))
        wall = cpu * self.wall_over_cpu
        self.now_s += SWITCH_S + (float(wall.sum()) + base * (runs > 0)) * 1e-9
        return TurnTimes(
            wall_ns=tuple(map(round, wall.tolist())),
            cpu_ns=tuple(map(round, cpu.tolist())),
            load_ns=LOAD_NS,
            peak_bytes=PEAK_BYTES,
        )


def noisy(us, seed):
    """A machine as bad as was seen: processes differ by 2 %, neighbours come and go."""
    return Machine(us, seed, process_sd=0.02, turn_sd=0.03, run_sd=0.03, spikes=0.03)


def study_of(machine, *, threads=(1,), budget_s=20.0, tell=tell_nobody):
    return measure_latencies(
        tuple(machine.us),
        machine.open,
        threads=threads,
        batch_rows=2,
        budget_s=budget_s,
        tell=tell,
        clock=machine.clock,
    )


def ratio_of(machine, *, budget_s=20.0):
    reference, other = machine.us
    return study_of(machine, budget_s=budget_s).ratios(reference)[other][0]


def test_without_noise_all_is_exact():
    machine = Machine({"fp32": 1000, "int8": 400})
    study = study_of(machine, threads=(1, 2))
    one, two = study.latencies["int8"]
    assert (one.threads, one.batch_rows) == (1, 2)
    assert one.cpu_ns.value == one.cpu_ns.low == one.wall_ns.value == 400_000
    assert two.wall_ns.value == 250_000
    assert one.wall_p90_ns == one.wall_p99_ns == 400_000
    assert (one.load_ns, one.peak_bytes) == (LOAD_NS, PEAK_BYTES)
    assert one.cpu_ns.n == LEAST_BLOCKS
    first, second = study.ratios("fp32")["int8"]
    assert (first.clock, second.clock) == ("cpu", "wall")
    assert first.ratio.value == pytest.approx(2.5)
    assert first.ratio.high - first.ratio.low < 1e-3
    assert study.busy_ratio == 1
    assert study.findings == ()
    assert study.dropped == {}


def test_stops_after_five_blocks_of_fresh_processes():
    machine = Machine({"fp32": 1000, "int8": 400, "int8-dynamic": 900})
    study_of(machine)
    assert machine.opened == dict.fromkeys(machine.us, LEAST_BLOCKS)
    assert machine.most_alive == len(machine.us)
    assert machine.alive == set()


def test_adds_blocks_until_two_per_cent():
    machine = noisy({"a": 800, "b": 400}, seed=3)
    ratio = ratio_of(machine, budget_s=60)
    assert ratio.ratio.n > LEAST_BLOCKS
    assert math.log(ratio.ratio.high / ratio.ratio.low) / 2 <= math.log(1.02)
    assert machine.now_s < 60


def test_ends_with_its_budget():
    machine = Machine({"a": 800, "b": 400}, process_sd=0.2)
    study = study_of(machine, budget_s=10)
    assert machine.now_s <= 10
    (finding,) = study.findings
    assert (finding.code, finding.subject) == ("OQ207", "timing")
    assert "after 10 s the speed of b at 1 thread is known to" in finding.message
    assert "--seconds 30" in finding.fix


def test_wide_interval_is_said_only_where_it_leaves_something_open():
    clear = Machine({"a": 4000, "b": 500}, seed=1, process_sd=0.05)
    study = study_of(clear, budget_s=4)
    assert study.findings == ()
    near = Machine({"a": 500, "b": 520}, seed=1, process_sd=0.05)
    assert study_of(near, budget_s=4).findings == ()  # within 5 %
    open_still = Machine({"a": 500, "b": 520}, seed=1, process_sd=0.15)
    study = study_of(open_still, budget_s=4)
    assert [finding.code for finding in study.findings] == ["OQ207"]


def test_default_budget_suffices_for_five_models_at_two_thread_counts():
    machine = Machine(dict.fromkeys(("fp32", "int8", "dynamic", "minmax", "given"), 900))
    machine.run_sd, machine.turn_sd, machine.process_sd = 0.02, 0.02, 0.004
    study = study_of(machine, threads=(1, 2))
    assert machine.now_s <= 20
    assert study.findings == ()


def test_order_is_balanced():
    names = ("a", "b", "c")
    orders = [turn_order(names, number) for number in range(2 * len(names))]
    for place in range(len(names)):
        assert Counter(order[place] for order in orders) == dict.fromkeys(names, 2)
    neighbours = Counter(pair for order in orders for pair in pairwise(order))
    assert len(set(neighbours.values())) == 1
    assert len(neighbours) == len(names) * (len(names) - 1)
    assert turn_order((), 3) == ()


def test_each_round_asks_each_model_once():
    machine = Machine({"a": 1000, "b": 1000})
    study_of(machine, threads=(1, 2))
    timed = [(name, turn.threads) for name, turn in machine.asked if turn.least_runs]
    assert {frozenset(timed[at : at + 2]) for at in range(0, len(timed), 2)} == {
        frozenset({("a", 1), ("b", 1)}),
        frozenset({("a", 2), ("b", 2)}),
    }
    loads = [turn for _, turn in machine.asked if not turn.least_runs]
    assert len(loads) == 2 * 2 * LEAST_BLOCKS
    assert all(turn.least_runs == LEAST_RUNS for _, turn in machine.asked if turn.least_runs)


@pytest.mark.parametrize(("budget_s", "rounds"), [(100.0, MOST_ROUNDS), (0.1, LEAST_ROUNDS)])
def test_rounds_fit_the_budget(budget_s, rounds):
    machine = Machine({"a": 1000, "b": 1000})
    study = study_of(machine, budget_s=budget_s)
    assert {len(block["a", 1]) for block in study.measurements.blocks} == {rounds}


def test_slow_models_take_few_rounds_and_it_is_said():
    machine = Machine({"slow": 1_000_000, "slower": 2_000_000})
    study = study_of(machine, threads=(1, 2), budget_s=20)
    assert {len(turns) for block in study.measurements.blocks for turns in block.values()} == {1}
    assert machine.now_s < 100
    (finding,) = study.findings
    assert finding.code == "OQ207"
    assert "an inference of slower takes 2 s" in finding.message
    assert "and not 20 s" in finding.message
    assert "--threads 1" in finding.fix
    assert study.ratios("slow")["slower"][0].ratio.value == pytest.approx(0.5)


def test_starts_of_fast_models_are_not_blamed_on_an_inference():
    study = study_of(Machine({"a": 11, "b": 10}), budget_s=1)
    finding = next(f for f in study.findings if "measuring took" in f.message)
    assert finding.code == "OQ207"
    assert "five blocks of fresh processes of every model are the least" in finding.message
    assert "an inference of a takes 11 us only" in finding.message
    assert finding.fix.startswith("Allow for it: --seconds ")


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (500, "0.5 us"),
        (11_000, "11 us"),
        (999_600, "1 ms"),
        (1_200_000, "1.2 ms"),
        (3e9, "3 s"),
    ],
)
def test_times_are_written_in_a_readable_unit(time_ns, text):
    assert _duration(time_ns) == text


def test_drift_of_the_machine_cancels():
    """The clock rate falls by a third while models are measured: ratios do not move."""
    machine = Machine({"a": 1000, "b": 1000})
    steady = machine.answer

    def drifting(name, own_ns, turn):
        return steady(name, own_ns * (1 + machine.now_s / 10), turn)

    machine.answer = drifting
    ratio = ratio_of(machine)
    assert ratio.ratio.value == pytest.approx(1, abs=0.002)
    assert ratio.is_tie


def test_busy_machine_is_said():
    machine = Machine({"a": 1000, "b": 500}, wall_over_cpu=1.4)
    study = study_of(machine)
    assert study.busy_ratio == pytest.approx(1.4, abs=1e-3)
    (finding,) = study.findings
    assert (finding.code, finding.severity) == ("OQ205", "warning")
    assert "1.40 times CPU time" in finding.message


def test_busy_is_unknown_without_one_thread():
    study = study_of(Machine({"a": 1000, "b": 500}, wall_over_cpu=1.4), threads=(2,))
    assert study.busy_ratio == 0
    assert study.findings == ()


@pytest.mark.parametrize("block", [1, 3])
def test_failing_candidate_is_dropped_and_the_others_go_on(block):
    machine = Machine({"a": 1000, "bad": 700, "c": 500}, fails={"bad": block})
    study = study_of(machine)
    assert study.dropped == {"bad": "it broke."}
    assert set(study.latencies) == {"a", "c"}
    assert set(study.ratios("a")) == {"c"}
    assert study.ratios("bad") == {}
    assert machine.opened == {"a": LEAST_BLOCKS, "c": LEAST_BLOCKS, "bad": block}


def test_candidate_that_cannot_be_opened_is_dropped():
    machine = Machine({"a": 1000, "b": 500})
    death = StageError("it died.", code="OQ181", hint="Try again.")

    def open_candidate(name):
        if name == "b":
            raise death
        return machine.open(name)

    study = measure_latencies(
        ("a", "b"),
        open_candidate,
        threads=(1,),
        batch_rows=1,
        budget_s=5,
        tell=tell_nobody,
        clock=machine.clock,
    )
    assert study.dropped == {"b": "it died."}
    assert study.ratios("a") == {}


def test_failing_reference_is_an_error():
    machine = Machine({"a": 1000, "b": 500}, fails={"a": 2})
    with pytest.raises(InferenceError, match="it broke"):
        study_of(machine)
    assert machine.alive == set()


@pytest.mark.parametrize("error", [
    Interrupted("stopped.", code="OQ184", hint=""), RuntimeError("a bug"),
])  # fmt: skip
def test_interruptions_and_bugs_are_not_swallowed(error):
    machine = Machine({"a": 1000, "b": 500}, fails={"b": 2}, error=error)
    with pytest.raises(type(error)):
        study_of(machine)
    assert machine.alive == set()


def test_one_model_alone_is_measured():
    study = study_of(Machine({"fp32": 1000}))
    assert study.latencies["fp32"][0].cpu_ns.value == 1_000_000
    assert study.ratios("fp32") == {}


def test_progress_never_falls_and_ends_within_its_total():
    heard = []
    study_of(Machine({"a": 1000, "b": 500}), budget_s=20, tell=heard.append)
    done = [event.done for event in heard]
    assert all(isinstance(event, Progressed) for event in heard)
    assert {event.total for event in heard} == {20_000}
    assert done == sorted(done)
    assert 0 < done[0] <= done[-1] <= 20_000


def test_long_turns_are_thinned():
    wall = np.random.default_rng(0).lognormal(13, 0.3, 5000).round()
    times = tuple(map(int, wall))
    turn = summarize_turn(TurnTimes(wall_ns=times, cpu_ns=times, load_ns=1, peak_bytes=1))
    assert len(turn.walls_ns) == 101
    assert np.quantile(turn.walls_ns, 0.9) == pytest.approx(np.quantile(wall, 0.9), rel=0.01)
    assert turn.wall_ns == pytest.approx(np.median(wall))
    assert turn.low_wall_ns == pytest.approx(np.quantile(wall, 0.1), rel=0.01)


def test_coarse_clocks_do_not_break_ratios():
    turn = summarize_turn(TurnTimes(wall_ns=(0, 0), cpu_ns=(0, 0), load_ns=1, peak_bytes=1))
    assert turn.low_cpu_ns > 0
    assert turn.busy_ratio == 1


def test_equal_models_tie():
    ties = sum(ratio_of(noisy({"a": 800, "b": 800}, seed)).is_tie for seed in range(40))
    assert ties >= 39


def test_true_five_per_cent_is_found():
    ratios = [ratio_of(noisy({"a": 800, "b": 840}, seed)) for seed in range(40)]
    assert sum(ratio.ratio.high < 0.98 for ratio in ratios) >= 38


@pytest.mark.slow
def test_protocol_in_the_long_run():
    equal = [ratio_of(noisy({"a": 800, "b": 800}, seed)) for seed in range(400)]
    slower = [ratio_of(noisy({"a": 800, "b": 840}, seed)) for seed in range(400)]
    assert sum(ratio.is_tie for ratio in equal) >= 0.925 * 400
    assert sum(ratio.ratio.high < 0.98 for ratio in slower) >= 0.95 * 400
    for ratios, true in ((equal, 1), (slower, 1 / 1.05)):
        covered = sum(ratio.ratio.low <= true <= ratio.ratio.high for ratio in ratios)
        assert covered >= 0.92 * 400
