import time

import numpy as np
import pytest

from onnxq.calibration import free_memory
from onnxq.calibration.effort import (
    TIMED_PARTS,
    Forecast,
    give_back_memory,
    resident_bytes,
    watch_effort,
)
from onnxq.calibration.free_memory import allowed_bytes, free_bytes

MB = 10**6


def test_a_peak_is_seen_though_it_is_over():
    give_back_memory()
    with watch_effort(resident_bytes()) as read_effort:
        held = np.ones(100 * MB // 8)
        time.sleep(0.05)  # ten looks
        del held
        found = read_effort()
    assert 95 * MB < found.peak_bytes < 130 * MB
    assert found.seconds >= 0.05
    assert found.cpu_seconds > 0


def test_a_peak_of_before_is_not_counted():
    np.ones(200 * MB // 8).sum()
    give_back_memory()
    with watch_effort(resident_bytes()) as read_effort:
        assert read_effort().peak_bytes < 20 * MB


def test_the_rest_is_forecast_from_the_parts_after_the_first(monkeypatch):
    now = iter([0.0, *[10.0, 20.0], *(20.0 + 3 * part for part in range(1, TIMED_PARTS + 1))])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    forecast = Forecast(100, warm_up=2)
    for _ in range(2 + TIMED_PARTS):
        assert forecast.predicted_seconds == 0
        forecast.see()
    assert forecast.part_seconds == 3
    assert forecast.opening_seconds == 20 - 2 * 3
    assert forecast.predicted_seconds == 20 + 3 * TIMED_PARTS + 3 * (100 - 2 - TIMED_PARTS)


def test_half_of_what_is_free_is_allowed_unless_told():
    assert allowed_bytes(123) == 123
    assert allowed_bytes(0) == pytest.approx(free_bytes() / 2, rel=0.2)


def group(folder, limit, used, *, cached=0, version=2):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("max", "current", "inactive_file")
    if version == 1:
        names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
    (folder / f"memory.{names[0]}").write_text(f"{limit}\n")
    (folder / f"memory.{names[1]}").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def left(own, root):
    return free_memory._cgroup_bytes(own, root)  # noqa: SLF001 - the files are not to be faked otherwise


def test_the_least_of_the_groups_above_holds(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    group(tmp_path / "a" / "b", "max", 1)
    group(tmp_path / "a", 1000, 700, cached=50)
    group(tmp_path, 5000, 700)
    assert left(own, tmp_path) == 350


def test_version_1_is_read_though_its_group_is_not_to_be_seen(tmp_path):
    """Within a container the group's path is that of the host."""
    own = tmp_path / "own"
    own.write_text("5:cpu:/x\n4:memory:/docker/abc\n")
    group(tmp_path / "memory", 900, 300, version=1)
    assert left(own, tmp_path) == 600


def test_without_groups_the_machine_is_the_limit(tmp_path):
    total = left(tmp_path / "none", tmp_path)
    assert total > 100 * MB
    own = tmp_path / "own"
    own.write_text("0::/\n")
    assert left(own, tmp_path) == total
