"""One tensor's statistics as bytes: occupied bins only, little-endian, one form for one content.

::

    name                utf-8
    bins, counts        u16 and u8/u16/u32/u64, ascending bins, the narrowest that holds all counts
    seen                one bit a run
    lows, highs         f32 a run
    unsound, values     u64 each: runs with NaN or infinite values, and how many these have
"""

from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import DTypeLike, NDArray

from onnxq.calibration.statistics import BINS, Counts, Flags, TensorStatistics, bin_edges

_FINITE_MAGNITUDES: Final = 0x7F80
_MAGNITUDE: Final = 0x7FFF
_MAX_COUNT: Final = 2**62
_WIDTHS: Final = (1, 2, 4, 8)


class _Blob(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    bins: bytes
    counts: bytes
    seen: bytes
    lows: bytes
    highs: bytes
    unsound: bytes
    unsound_values: bytes


_DECODER: Final = msgspec.msgpack.Decoder(_Blob)


class DamagedBlobError(ValueError):
    """Bytes are no statistics of a tensor."""


def encode_tensor(name: str, statistics: TensorStatistics) -> bytes:
    """Encode the statistics of one tensor.

    Args:
        name: The tensor's.
        statistics: Any.

    Returns:
        The same bytes for the same statistics, on every machine.
    """
    bins = np.flatnonzero(statistics.counts)
    counts = statistics.counts[bins]
    unsound = np.flatnonzero(statistics.row_non_finite)
    width = np.min_scalar_type(counts.max(initial=0)).itemsize
    return msgspec.msgpack.encode(
        _Blob(
            name=name,
            bins=_pack(bins, "<u2"),
            counts=_pack(counts, f"<u{width}"),
            seen=np.packbits(statistics.row_seen).tobytes(),
            # Plus zero: whether the least of -0 and 0 is -0 is up to the instruction set.
            lows=_pack(statistics.row_lows + np.float32(0), "<f4"),
            highs=_pack(statistics.row_highs + np.float32(0), "<f4"),
            unsound=_pack(unsound, "<u8"),
            unsound_values=_pack(statistics.row_non_finite[unsound], "<u8"),
        )
    )


def decode_tensor(blob: bytes, runs: int) -> tuple[str, TensorStatistics]:
    """Decode the statistics of one tensor, and check that rows could have given them.

    Args:
        blob: As :func:`encode_tensor` encodes them, or anything.
        runs: How many runs they must speak of.

    Returns:
        The tensor's name and its statistics; they take 512 KiB and 17 bytes a run, and lengths
        are checked before that is taken.

    Raises:
        DamagedBlobError: If they are no statistics.
    """
    found = _decode(blob)
    _require(len(found.lows) == len(found.highs) == 4 * runs, "rows are missing")
    statistics = TensorStatistics(
        counts=_counts(found),
        row_seen=_flags(found.seen, runs),
        row_lows=np.frombuffer(found.lows, "<f4").astype(np.float32),
        row_highs=np.frombuffer(found.highs, "<f4").astype(np.float32),
        row_non_finite=_non_finite(found, runs),
    )
    _check_sense(statistics)
    return found.name, statistics


def blob_name(blob: bytes) -> str:
    """Return the name of a blob's tensor.

    Raises:
        DamagedBlobError: If it is none.
    """
    return _decode(blob).name


def _decode(blob: bytes) -> _Blob:
    try:
        return _DECODER.decode(blob)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedBlobError(str(error)) from error


def _pack(values: NDArray[np.generic], form: DTypeLike) -> bytes:
    return values.astype(form).tobytes()


def _counts(found: _Blob) -> Counts:
    _require(not len(found.bins) % 2 and len(found.bins) <= 2 * BINS, "bins are cut")
    bins = np.frombuffer(found.bins, "<u2").astype(np.int64)
    counts = np.zeros(BINS, np.int64)
    if not bins.size:
        _require(not found.counts, "counts without bins")
        return counts
    width, odd = divmod(len(found.counts), bins.size)
    _require(not odd and width in _WIDTHS, "bins and counts differ")
    values = np.frombuffer(found.counts, f"<u{width}")
    _require(bool((np.diff(bins) > 0).all()), "bins are out of order")
    _require(bool(((bins & _MAGNITUDE) < _FINITE_MAGNITUDES).all()), "bins are not finite")
    _require(int(values.min()) > 0 and int(values.max()) < _MAX_COUNT // BINS, "counts are wrong")
    counts[bins] = values
    return counts


def _flags(packed: bytes, runs: int) -> Flags:
    _require(len(packed) == (runs + 7) // 8, "rows are missing")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    _require(not bits[runs:].any(), "there are rows beyond the last")
    return bits[:runs].astype(np.bool_)


def _non_finite(found: _Blob, runs: int) -> Counts:
    sizes = len(found.unsound), len(found.unsound_values)
    _require(sizes[0] == sizes[1] <= 8 * runs and not sizes[0] % 8, "rows are missing")
    unsound = np.frombuffer(found.unsound, "<u8")
    values = np.frombuffer(found.unsound_values, "<u8")
    _require(bool((unsound[:-1] < unsound[1:]).all()), "rows are out of order")
    _require(int(unsound.max(initial=0)) < max(runs, 1), "there are rows beyond the last")
    _require(not values.size or values.min() > 0, "counts are wrong")
    _require(int(values.max(initial=0)) < _MAX_COUNT // max(runs, 1), "counts are wrong")
    dense = np.zeros(runs, np.int64)
    dense[unsound.astype(np.int64)] = values
    return dense


def _check_sense(statistics: TensorStatistics) -> None:
    """Raise if the parts contradict each other: what no collector would have written."""
    lows, highs, folded = statistics.row_lows, statistics.row_highs, statistics.row_folded
    _require(bool(np.isfinite(lows[folded]).all()), "extremes are not finite")
    _require(bool(np.isfinite(highs[folded]).all()), "extremes are not finite")
    rest = ~folded
    _require(bool((lows[rest] == np.inf).all()), "extremes are inverted")
    _require(bool((highs[rest] == -np.inf).all()), "extremes are inverted")
    busy = folded | (statistics.row_non_finite > 0)
    _require(not (busy & ~statistics.row_seen).any(), "rows count that were not seen")
    _require(not (folded & (statistics.row_non_finite > 0)).any(), "rows count both ways")
    bins = np.flatnonzero(statistics.counts)
    near, far = bin_edges(bins)
    low, high = statistics.low, statistics.high
    _require(bool(((far >= low) & (near <= high)).all()), "values lie beyond the extremes")


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - a condition is what it is about
    if not holds:
        raise DamagedBlobError(what)
