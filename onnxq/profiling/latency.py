"""Latency of several models, measured together. CONTINGENCY: replaced by helper latency."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
import math

from onnxq.estimates import median_over_blocks, ratio_over_blocks
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.measurements import Latency, SpeedRatio
from onnxq.stages import LATENCY, Turn, TurnTimes


@dataclass(frozen=True)
class LatencyStudy:
    latencies: dict[str, tuple[Latency, ...]]
    blocks: dict
    busy_ratio: float
    dropped: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def ratios(self, reference: str) -> dict[str, tuple[SpeedRatio, ...]]:
        out = {}
        for name in self.latencies:
            if name == reference:
                continue
            rs = []
            for lat in self.latencies[name]:
                t = lat.threads
                f = lambda k: ratio_over_blocks([math.log(a[k] / b[k]) for a, b in zip(self.blocks[reference, t], self.blocks[name, t])])
                clock = "cpu" if t == 1 else "wall"
                rs.append(SpeedRatio(threads=t, clock=clock, ratio=f(clock), wall_ratio=f("wall")))
            out[name] = tuple(rs)
        return out


def measure_latencies(names, open_candidate, *, threads, batch_rows, budget_s, tell) -> LatencyStudy:
    blocks = defaultdict(list)
    walls = defaultdict(list)
    info = {}
    for block in range(5):
        with ExitStack() as stack:
            ask = {n: stack.enter_context(open_candidate(n)) for n in names}
            times = defaultdict(lambda: ([], []))
            for r in range(4):
                for t in threads:
                    order = names[(r + block) % len(names):] + names[:(r + block) % len(names)]
                    for n in order:
                        got = ask[n](Turn(threads=t, budget_ns=30_000_000, least_runs=3))
                        times[n, t][0].extend(got.cpu_ns)
                        times[n, t][1].extend(got.wall_ns)
                        info[n] = got
            for key, (cpu, wall) in times.items():
                blocks[key].append({"cpu": statistics.median(cpu), "wall": statistics.median(wall)})
                walls[key] += wall
        tell(Progressed(LATENCY.name, block + 1, 5))
    lat = {}
    for n in names:
        lat[n] = tuple(
            Latency(threads=t, batch_rows=batch_rows,
                    cpu_ns=median_over_blocks([b["cpu"] for b in blocks[n, t]]),
                    wall_ns=median_over_blocks([b["wall"] for b in blocks[n, t]]),
                    wall_p90_ns=float(sorted(walls[n, t])[int(.9 * len(walls[n, t]))]),
                    wall_p99_ns=float(sorted(walls[n, t])[int(.99 * len(walls[n, t]))]),
                    load_ns=float(info[n].load_ns), peak_bytes=info[n].peak_bytes)
            for t in threads)
    return LatencyStudy(latencies=lat, blocks=dict(blocks), busy_ratio=1.0)
