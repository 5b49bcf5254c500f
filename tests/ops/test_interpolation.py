import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.ops.interpolation import adaptive_positions, bin_positions, hat_weights, taps_clamped, taps_or_zero
from tests.ops.checks import assert_close, assert_gradient, assert_leading_axes_are_free, assert_transforms_agree
from tests.oracles.masks import interpolate_or_zero
from tests.oracles.roi_align import bilinear

INDEX = np.asarray([-5, -1.01, -1, -0.3, 0, 0.25, 1, 2.75, 3.999, 4, 4.3, 5, 5.01, 9], np.float32)
VALUES = np.asarray([2, 3, 5, 7, 11], np.float32)
LIMIT = np.full(INDEX.shape, len(VALUES), np.int32)
ATOL = 1e-5  # weights of 2 taps in float32, times values up to 11


def test_bin_positions_by_hand():
    positions = bin_positions(jnp.asarray([0.0, 10.0]), jnp.asarray([4.0, -4.0]), 2, 2)
    assert positions.tolist() == [[[0.5, 1.5], [2.5, 3.5]], [[9.5, 8.5], [7.5, 6.5]]]


def test_adaptive_positions_by_hand():
    start, side = jnp.asarray([0.0, 10.0, 1.0, 1.0]), jnp.asarray([4.0, 1.0, 12.0, -3.0])
    positions, shares = adaptive_positions(start, side, 2, 4)
    assert shares.tolist() == [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0.25] * 4, [0] * 4]  # the third needs 6, the last has no length
    assert positions[0, :, :2].tolist() == [[0.5, 1.5], [2.5, 3.5]]
    assert positions[1, :, :1].tolist() == [[10.25], [10.75]]
    assert positions[2].tolist() == [[1.75, 3.25, 4.75, 6.25], [7.75, 9.25, 10.75, 12.25]]


def test_taps_clamped_repeat_the_border_for_one_cell():
    cells, weights = taps_clamped(jnp.asarray(INDEX), jnp.asarray(LIMIT))
    expected = [bilinear(VALUES[None, :, None].astype(np.float64), 0, x)[0] for x in INDEX]
    assert_close(jnp.sum(jnp.asarray(VALUES)[cells] * weights, axis=-1), np.asarray(expected), atol=ATOL)
    assert cells.dtype == jnp.int32
    assert 0 <= int(cells.min()) <= int(cells.max()) < len(VALUES)


def test_taps_clamped_of_one_cell():
    cells, weights = taps_clamped(jnp.asarray([-1.0, 0.0, 0.5, 1.0, 1.5]), jnp.full(5, 1, jnp.int32))
    assert jnp.sum(weights, axis=1).tolist() == [1, 1, 1, 1, 0]
    assert cells.tolist() == [[0, 0]] * 5


def test_taps_or_zero_fade_to_zero_outside():
    cells, weights = taps_or_zero(jnp.asarray(INDEX), len(VALUES))
    expected = [interpolate_or_zero(VALUES[None, :], 0, float(x)) for x in INDEX]
    assert_close(jnp.sum(jnp.asarray(VALUES)[cells] * weights, axis=-1), np.asarray(expected), atol=ATOL)
    assert cells.dtype == jnp.int32
    assert 0 <= int(cells.min()) <= int(cells.max()) < len(VALUES)


def test_taps_or_zero_of_garbage_weigh_nothing():
    _, weights = taps_or_zero(jnp.asarray([np.nan, np.inf, -np.inf, 1e30, -1e30], jnp.float32), 4)
    assert weights.tolist() == [[0, 0]] * 5


def test_hat_weights_are_the_taps_as_a_matrix():
    cells, weights = taps_or_zero(jnp.asarray(INDEX), len(VALUES))
    dense = jnp.zeros((len(INDEX), len(VALUES))).at[jnp.arange(len(INDEX))[:, None], cells].add(weights)
    assert_close(hat_weights(jnp.asarray(INDEX)[None, :], len(VALUES))[0], dense, atol=1e-6)  # 1 - |x| is rounded otherwise than x - 0


def test_transforms_agree():
    index, limit = np.stack([INDEX, INDEX[::-1]]), np.stack([LIMIT, LIMIT])
    assert_transforms_agree(taps_clamped, index, limit, atol=1e-6)  # one rounding of a weight
    assert_transforms_agree(lambda x: taps_or_zero(x, 5), index, atol=1e-6)
    assert_transforms_agree(lambda x: hat_weights(x, 5), index[:, None, :], atol=1e-6)
    assert_transforms_agree(lambda a, b: bin_positions(a, b, 2, 3), index, index + 1, atol=1e-5)  # one rounding of values up to 20


def test_leading_axes_are_free():
    assert_leading_axes_are_free(taps_clamped, INDEX, LIMIT)
    assert_leading_axes_are_free(lambda x: taps_or_zero(x, 5), INDEX)


def test_gradients():
    index = np.asarray([-0.4, 0.3, 2.6, 4.4], np.float32)
    assert_gradient(lambda x: taps_clamped(x, jnp.full(4, 5))[1], index)
    assert_gradient(lambda x: taps_or_zero(x, 5)[1], index)
    assert_gradient(lambda x: hat_weights(x[None, :], 5), index)
    assert_gradient(lambda a, b: bin_positions(a, b, 2, 3), index, index, wrt=(0, 1))
