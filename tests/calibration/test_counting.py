import sys
from concurrent.futures import ThreadPoolExecutor
from math import gcd

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxq.calibration import counting
from onnxq.calibration.counting import (
    BINS,
    LEAST_SAMPLED,
    KernelCounter,
    NumpyCounter,
    counting_kind,
    find_kernel,
    new_counter,
    sampling_stride,
    thread_counter,
)

KERNEL = find_kernel()
needs_kernel = pytest.mark.skipif(
    KERNEL is None, reason="the kernel is not built: pip install -e . with a C compiler"
)
BITS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1 << 31, 1, 0x7F7FFFFF, 0xFF7FFFFF, 0x00800000, 0x3F800000, 0x8000FFFF]),
)
ANY = hnp.arrays(np.uint32, st.integers(0, 300), elements=BITS).map(lambda a: a.view(np.float32))
FINITE = ANY.map(lambda a: np.where(np.isfinite(a), a, np.float32(1.5)))
COUNTERS = [
    pytest.param(NumpyCounter, id="numpy"),
    pytest.param(lambda: KernelCounter(KERNEL), id="kernel", marks=needs_kernel),
]


def counted(counter, values, stride=1):
    counts = np.zeros(BINS, np.int64)
    found = counter.count(values, stride)
    counter.move(counts, 1)
    return found, counts


def reference(values, stride):
    return np.bincount(values[::stride].view(np.uint32) >> 16, minlength=BINS)


@pytest.mark.parametrize("make", COUNTERS)
@given(values=FINITE, stride=st.integers(1, 20))
@example(values=np.zeros(0, np.float32), stride=3)
@example(values=np.array([-0.0], np.float32), stride=1)
def test_equals_a_reference(make, values, stride):
    found, counts = counted(make(), values, stride)
    np.testing.assert_array_equal(counts, reference(values, stride))
    assert found.non_finite == 0
    assert found.low == values.min(initial=np.inf)
    assert found.high == values.max(initial=-np.inf)


@pytest.mark.parametrize("make", COUNTERS)
@given(values=ANY)
@example(values=np.array([1.0, np.nan, np.inf, -np.inf], np.float32))
def test_nothing_is_counted_where_a_value_is_not_finite(make, values):
    found, counts = counted(make(), values)
    assert found.non_finite == np.count_nonzero(~np.isfinite(values))
    assert counts.any() == (not found.non_finite and bool(values.size))


@pytest.mark.parametrize("make", COUNTERS)
@pytest.mark.parametrize("size", [1, 15, 16, 2047, 2048, 2049, 4096, 100_003])
@pytest.mark.parametrize("stride", [1, 2, 7, 2049, 1_000_000])
def test_counts_across_blocks(make, size, stride):
    values = np.maximum(np.random.default_rng(size).standard_normal(size), -0.5).astype(np.float32)
    found, counts = counted(make(), values, stride)
    np.testing.assert_array_equal(counts, reference(values, stride))
    assert (found.low, found.high) == (values.min(), values.max())


@pytest.mark.parametrize("make", COUNTERS)
@pytest.mark.parametrize("at", [0, 2047, 2048, 9_999])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_late_value_that_is_not_finite_takes_all_counts_back(make, at, bad):
    values = np.ones(10_000, np.float32)
    values[at] = bad
    counter = make()
    found, counts = counted(counter, values)
    assert (found.non_finite, counts.any()) == (1, False)
    np.testing.assert_array_equal(counted(counter, values[:at])[1], reference(values[:at], 1))


@pytest.mark.parametrize("make", COUNTERS)
def test_what_was_not_moved_is_forgotten_and_what_was_is_gone(make):
    counter = make()
    first, second = np.full(9, 2.0, np.float32), np.full(5, -3.0, np.float32)
    counter.count(first, 1)
    counts = counted(counter, second)[1]
    np.testing.assert_array_equal(counts, reference(second, 1))
    counter.move(counts, 1)
    np.testing.assert_array_equal(counts, reference(second, 1))
    counter.count(second, 1)
    counter.move(counts, -1)
    assert not counts.any()


@needs_kernel
@given(values=ANY, stride=st.integers(1, 5))
def test_both_leave_the_same_bytes(values, stride):
    ours, ours_counts = counted(KernelCounter(KERNEL), values, stride)
    plain, plain_counts = counted(NumpyCounter(), values, stride)
    assert ours_counts.tobytes() == plain_counts.tobytes()
    assert ours.non_finite == plain.non_finite
    if not ours.non_finite:
        assert (ours.low, ours.high) == (plain.low, plain.high)


@needs_kernel
def test_the_kernel_is_taken_where_it_is():
    assert counting_kind() == "compiled"
    assert isinstance(new_counter(), KernelCounter)


def test_numpy_counts_without_the_kernel(tmp_path, monkeypatch):
    assert find_kernel(tmp_path / "absent.so") is None
    (tmp_path / "foreign.so").write_bytes(b"no library")
    assert find_kernel(tmp_path / "foreign.so") is None
    monkeypatch.setattr(counting, "find_kernel", lambda: None)
    assert counting_kind() == "numpy"
    assert isinstance(new_counter(), NumpyCounter)


@needs_kernel
def test_a_library_of_another_source_is_not_taken(tmp_path, monkeypatch):
    changed = tmp_path / "counting.c"
    changed.write_bytes(counting.SOURCE.read_bytes() + b"\n")
    monkeypatch.setattr(counting, "SOURCE", changed)
    find_kernel.cache_clear()
    try:
        assert find_kernel() is None
    finally:
        find_kernel.cache_clear()


def test_each_thread_has_its_counter():
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(thread_counter).result()
        assert pool.submit(thread_counter).result() is theirs
    assert thread_counter() is thread_counter() is not theirs


@given(st.integers(1, 1_000), st.integers(0, 10**7))
def test_a_stride_shares_no_factor_with_the_size(stride, size):
    found = sampling_stride(stride, size)
    least = min(stride, max(1, size // LEAST_SAMPLED))
    assert found >= least
    assert not size or gcd(found, size) == 1
    assert all(gcd(other, size) != 1 for other in range(least, found))
    assert sampling_stride(1, size) == 1


def test_every_column_and_channel_is_visited():
    channels, columns = 64, 56
    size = channels * 56 * columns
    visited = np.arange(0, size, sampling_stride(8, size))
    for dimension in (channels, columns):
        share = np.bincount(visited % dimension) / len(visited)
        np.testing.assert_allclose(share, 1 / dimension, rtol=0.01)


def test_the_numpy_way_reads_the_high_halves_on_this_machine():
    value = np.array([1.0], np.float32)  # 0x3F800000
    assert counting.high_halves(value).tolist() == [0x3F80], sys.byteorder
