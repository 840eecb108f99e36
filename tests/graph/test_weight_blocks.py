import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxq.graph.weight_blocks import (
    fitting_block,
    packed_bytes,
    quantize_blocks,
    quantize_channels,
    unpack_bits,
)

VALUES = st.one_of(st.just(0.0), st.floats(-1e3, 1e3, width=32))
MATRICES = st.tuples(st.integers(1, 40), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=VALUES)
)


def decode(matrix, bits, block_size):
    stored = quantize_blocks(matrix, bits, block_size)
    rows, columns = matrix.shape
    levels = unpack_bits(stored.packed, bits).astype(np.float32)
    steps = levels.reshape(columns, -1, block_size) - (1 << (bits - 1))
    return (steps * stored.scales[:, :, None]).reshape(columns, -1)[:, :rows].T, stored


@settings(max_examples=60)
@given(MATRICES, st.sampled_from([8, 4]), st.sampled_from([16, 32]))
def test_blocks_keep_zeros_and_stay_in_bounds(matrix, bits, block_size):
    found, stored = decode(matrix, bits, block_size)
    assert (found[matrix == 0] == 0).all()
    assert np.isfinite(stored.scales).all()
    assert (stored.scales > 0).all()
    assert stored.packed.shape == (
        matrix.shape[1],
        -(-matrix.shape[0] // block_size),
        block_size * bits // 8,
    )
    size = stored.packed.nbytes + stored.scales.nbytes
    assert size == packed_bytes(*matrix.shape, bits, block_size)
    largest = np.abs(matrix).max()
    assert (np.abs(found) <= largest * 1.15 + 1e-30).all()


@settings(max_examples=60)
@given(MATRICES)
def test_eight_bits_err_by_half_a_step(matrix):
    found, stored = decode(matrix, 8, 16)
    rows = matrix.shape[0]
    steps = np.repeat(stored.scales, 16, axis=1)[:, :rows].T
    assert (np.abs(found - matrix) <= 0.5001 * steps).all()


def test_four_bits_err_less_than_plain_rounding():
    matrix = np.random.default_rng(0).standard_normal((256, 64)).astype(np.float32)
    found, _ = decode(matrix, 4, 32)
    blocks = matrix.T.reshape(64, -1, 32)
    scales = np.abs(blocks).max(axis=2, keepdims=True) / 7
    plain = (np.rint(blocks / scales) * scales).reshape(64, -1).T
    assert ((found - matrix) ** 2).mean() < 0.9 * ((plain - matrix) ** 2).mean()


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=VALUES)
    ),
    st.sampled_from([0, 1, 2]),
)
def test_channels_keep_zeros_and_err_by_half_a_step(weight, axis):
    stored = quantize_channels(weight, axis)
    found = stored.integers.astype(np.float32) * stored.scales
    assert stored.integers.dtype == np.int8
    assert stored.scales.size == weight.shape[axis]
    assert (found[weight == 0] == 0).all()
    assert (np.abs(found - weight) <= 0.5001 * stored.scales).all()


def test_weights_that_are_zero_or_subnormal_get_a_scale():
    weight = np.array([[0.0, 0.0], [1e-44, -1e-44]], np.float32)
    stored = quantize_channels(weight, 0)
    assert stored.scales.ravel().tolist() == [2.0**-100, 2.0**-100]
    assert not stored.integers.any()


@pytest.mark.parametrize(
    ("rows", "size"),
    [(5, 16), (32, 32), (72, 16), (200, 32), (300, 64), (384, 128), (784, 64), (4096, 128)],
)
def test_blocks_fit_the_rows(rows, size):
    assert fitting_block(rows, (16, 32, 64, 128)) == size


def test_large_weights_are_searched_without_overflow():
    matrix = np.full((32, 2), 3e37, np.float32)
    found, _ = decode(matrix, 4, 32)
    np.testing.assert_allclose(found, matrix, rtol=0.08)
