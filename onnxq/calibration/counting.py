"""Values are counted by the high halves of their bits: by a compiled kernel, or by NumPy.

The kernel (``counting.c``, plain C, loaded by ctypes, which lets other threads run meanwhile) is
built with the package where there is a C compiler; without it NumPy does the same, to the same
bytes. It earns its place by this: CPU ms of a run at batch 1 and one thread, medians, side by
side in one process on a Xeon with AVX-512:

==========================================  ===========  =========
of a run                                    MobileNetV2  ResNet-18
==========================================  ===========  =========
values of watched activations, millions     6.9          3.2
inference alone                             6.4          24.5
activations returned (blocked_layout)       7.9          25.4
and counted, ``min``/``max``/``bincount``   31.1         38.2
and counted by the kernel                   13.0         28.6
the same with a stride of 8, NumPy          14.8         30.2
the same with a stride of 8, kernel         12.5         28.3
==========================================  ===========  =========

What is left, 0.7 ns a value, is by more than half the time to read them: all outputs of a run lie
in memory, in no cache.

Tried and left out: sorting the 16 bit halves (no faster than ``bincount``, 2 ns a value, which
holds the GIL too); ``bincount`` in chunks (no faster) or of what is not zero (three times slower,
for the mask); one counter per bin (three times slower on the zeros behind a Relu than four that
take turns, see counting.c); vectors of 512 bits (no faster); no fetching ahead (a quarter slower).
Inside the graph, one more operator per activation costs MobileNetV2 as much as the kernel does,
before anything is counted: ReduceMin and ReduceMax 3.5 ms, QuantizeLinear to int16 3.4, Cast to
float16 2.7, to bfloat16 (whose bits the bins would be) 11.4.
"""

import ctypes
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import gcd
from pathlib import Path
from threading import local
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32s: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.int64]

BINS = 1 << 16
LEAST_SAMPLED = 8192
"""Values of an array that are counted at least, if it has as many."""

_LANES = 4  # as in counting.c
_HIGH_HALF = 1 if sys.byteorder == "little" else 0
SOURCE = Path(__file__).with_name("counting.c")
LIBRARY = Path(__file__).with_name("_counting.so")  # as in hatch_build.py


@dataclass(frozen=True, slots=True)
class Extremes:
    """What is known of an array besides its counts.

    Attributes:
        low: Smallest value; +inf of none. Where values are not finite, neither this nor
            ``high`` says anything.
        high: Largest value; -inf of none.
        non_finite: NaN and infinite values.
    """

    low: float
    high: float
    non_finite: int


class Counter(Protocol):
    """Counts one array at a time; each thread has its own.

    Between :meth:`count`, which takes the time, and :meth:`move`, which is short and wants a
    lock where several threads share the counts, it holds the counts of the array.
    """

    def count(self, values: Float32s, stride: int) -> Extremes:
        """Look at an array; what was counted before and not moved is forgotten.

        Args:
            values: Contiguous and flat.
            stride: Every so-many-th value is counted, from the first; the extremes are of all.

        Returns:
            The extremes. Where they are not finite, nothing is counted.
        """

    def move(self, counts: Counts, weight: int) -> None:
        """Add what was counted last to counts, some times over, and forget it.

        Args:
            counts: int64 ``[65536]``, contiguous; a bin's number is the high half of the float32.
            weight: How often it is added; below zero it is taken off.
        """


class NumpyCounter:
    """Counts with NumPy."""

    def __init__(self) -> None:
        self._counted = np.empty(0, np.int64)

    def count(self, values: Float32s, stride: int) -> Extremes:
        """See :class:`Counter`."""
        self._counted = self._counted[:0]
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        if values.size and not (np.isfinite(low) and np.isfinite(high)):
            return Extremes(low, high, int(np.count_nonzero(~np.isfinite(values))))
        self._counted = np.bincount(high_halves(values)[::stride])
        return Extremes(low, high, 0)

    def move(self, counts: Counts, weight: int) -> None:
        """See :class:`Counter`."""
        part = counts[: len(self._counted)]
        part += weight * self._counted
        self._counted = self._counted[:0]


class _Summary(ctypes.Structure):
    """``summary`` of counting.c."""

    _fields_ = (
        ("non_finite", ctypes.c_int64),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
        ("least", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("either", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class Kernel:
    """The functions of counting.c.

    Attributes:
        count: ``onnxq_count``.
        move: ``onnxq_move``.
    """

    count: Callable[..., None]
    move: Callable[..., None]


class KernelCounter:
    """Counts with the compiled kernel; holds 1 MiB.

    Args:
        kernel: From :func:`find_kernel`.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lanes = np.zeros((BINS, _LANES), np.uint32)
        self._lanes_address = _address(self._lanes)
        self._found = _Summary()
        self._found_address = ctypes.byref(self._found)
        self._is_clean = True

    def count(self, values: Float32s, stride: int) -> Extremes:
        """See :class:`Counter`."""
        if not self._is_clean:
            self._lanes.fill(0)
        self._is_clean = False
        self._kernel.count(
            _address(values), values.size, stride, self._lanes_address, self._found_address
        )
        found = self._found
        self._is_clean = found.non_finite > 0
        return Extremes(found.low, found.high, found.non_finite)

    def move(self, counts: Counts, weight: int) -> None:
        """See :class:`Counter`."""
        if not self._is_clean:
            self._kernel.move(self._lanes_address, _address(counts), weight, self._found_address)
            self._is_clean = True


def _address(array: NDArray[np.generic]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


@cache
def find_kernel(library: Path = LIBRARY) -> Kernel | None:
    """Find the compiled kernel.

    Args:
        library: Where the build left it.

    Returns:
        Its functions, or None where it was not built, not for this machine, or from another
        ``counting.c`` than the one beside this module.
    """
    source = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    try:
        loaded = ctypes.CDLL(str(library))
        count, move = loaded[f"onnxq_count_{source}"], loaded[f"onnxq_move_{source}"]
    except (OSError, AttributeError):
        return None
    pointer = ctypes.c_void_p
    count.argtypes = (pointer, ctypes.c_size_t, ctypes.c_size_t, pointer, pointer)
    move.argtypes = (pointer, pointer, ctypes.c_int64, pointer)
    count.restype = move.restype = None
    return Kernel(count, move)


def counting_kind() -> Literal["compiled", "numpy"]:
    """Return what values are counted with on this machine."""
    return "numpy" if find_kernel() is None else "compiled"


def new_counter() -> Counter:
    """Return a counter: with the kernel where it is there, else with NumPy."""
    kernel = find_kernel()
    return NumpyCounter() if kernel is None else KernelCounter(kernel)


_threads = local()


def thread_counter() -> Counter:
    """Return the counter of this thread, which all its collectors share."""
    counter: Counter | None = getattr(_threads, "counter", None)
    if counter is None:
        counter = _threads.counter = new_counter()
    return counter


def high_halves(values: Float32s) -> NDArray[np.uint16]:
    """Return the bin of each value: the high half of its bits, without arithmetic.

    Args:
        values: Contiguous and flat.

    Returns:
        A view.
    """
    return values.view(np.uint16)[_HIGH_HALF::2]


def sampling_stride(stride: int, size: int) -> int:
    """Return the stride with which an array is sampled.

    A stride that shares a factor with a dimension would look at some columns or channels only,
    and always at the same: 8 on 56 columns sees 7 of them. One that shares no factor with the
    number of values visits all of them evenly, whatever the order of the dimensions. Small arrays
    cost little, and a few of their values are no sample of them: they are counted whole.

    Args:
        stride: What is asked for; 1 counts each value.
        size: Values of the array.

    Returns:
        The smallest stride from there on that is coprime to the size; or from a smaller one on,
        where fewer than :data:`LEAST_SAMPLED` values would be counted.
    """
    stride = min(stride, max(1, size // LEAST_SAMPLED))
    while size and gcd(stride, size) != 1:
        stride += 1
    return stride
