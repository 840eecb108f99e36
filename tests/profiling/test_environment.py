import importlib.metadata
import math
import os
import platform
import subprocess
import sys

import pytest

from onnxq.profiling import environment
from onnxq.profiling.environment import (
    parse_cpu_name,
    parse_isa,
    parse_quota,
    read_environment,
    read_quota_cores,
    usable_cores,
)

X86 = """processor\t: 0
model name\t: AMD EPYC 9B14
flags\t\t: fpu sse sse2 avx2 avx512f avx512_vnni avx512_vnnix

processor\t: 1
model name\t: another
flags\t\t: amx_int8
"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm asimddp
CPU implementer\t: 0x41
"""


def test_cpu_and_instruction_sets_are_the_first_cores():
    assert parse_cpu_name(X86) == "AMD EPYC 9B14"
    assert parse_isa(X86) == ("avx2", "avx512f", "avx512_vnni")
    assert parse_cpu_name(ARM) == ""
    assert parse_isa(ARM) == ("asimd", "asimddp")
    assert parse_isa("") == ()


def test_quota_of_control_groups():
    assert parse_quota("max 100000\n") == math.inf
    assert parse_quota("150000 100000\n") == 1.5


@pytest.fixture
def groups(tmp_path):
    root = tmp_path / "cgroup"
    (root / "outer" / "inner").mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/x\n0::/outer/inner\n")
    return own, root


def test_least_quota_on_the_way_up_counts(groups):
    own, root = groups
    assert read_quota_cores(own, root) == math.inf
    (root / "outer" / "inner" / "cpu.max").write_text("max 100000\n")
    (root / "outer" / "cpu.max").write_text("250000 100000\n")
    assert read_quota_cores(own, root) == 2.5
    (root / "cpu.max").write_text("50000 100000\n")
    assert read_quota_cores(own, root) == 0.5
    assert read_quota_cores(own.with_name("none"), root) == math.inf


@pytest.mark.parametrize(
    ("quota", "allowed", "cores"), [(math.inf, 4, 4), (1.5, 4, 2), (0.5, 4, 1), (8.0, 4, 4)]
)
def test_cores_are_affinity_within_quota(monkeypatch, quota, allowed, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(environment, "read_quota_cores", lambda *_: quota)
    assert usable_cores() == cores


def test_apple_has_no_cpuinfo(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "none")
    found = read_environment()
    assert (found.cpu, found.isa, found.system) == ("arm", ("asimd", "asimddp"), "Darwin arm64")


def test_this_machine():
    found = read_environment()
    assert found.cpu
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.load >= 0
    assert found.busy_ratio == 0
    assert found.packages["onnxruntime"] == importlib.metadata.version("onnxruntime")
    assert all(found.packages.values())


def test_no_framework_is_imported():
    code = """
import sys
from onnxq.profiling.environment import read_environment
read_environment()
heavy = {"torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
