import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn.pool import max_pool


def gradient_by_loops(x, gradient, size, padding):
    """Each window's gradient at the first of its largest cells, row by row."""
    total = np.zeros_like(x)
    n, h, w, c = gradient.shape
    for image, i, j, channel in np.ndindex(n, h, w, c):
        top, left = 2 * i - padding, 2 * j - padding
        cells = [
            (row, column)
            for row in range(max(top, 0), min(top + size, x.shape[1]))
            for column in range(max(left, 0), min(left + size, x.shape[2]))
        ]
        row, column = max(cells, key=lambda cell: x[image, *cell, channel])  # the first of equals
        total[image, row, column, channel] += gradient[image, i, j, channel]
    return total


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (2, 0)])
@pytest.mark.parametrize("sides", [(2, 2), (5, 4), (6, 7), (9, 2)])
def test_the_gradient_goes_to_the_first_of_the_largest(rng, sides, size, padding):
    x = rng.integers(0, 3, (2, *sides, 3)).astype(np.float32)  # many ties
    y, pull = jax.vjp(lambda x: max_pool(x, size, padding), jnp.asarray(x))
    np.testing.assert_array_equal(y, nn.max_pool(x, (size, size), strides=(2, 2), padding=((padding, padding),) * 2))
    gradient = rng.integers(1, 9, y.shape).astype(np.float32)  # sums of small integers are exact
    np.testing.assert_array_equal(pull(jnp.asarray(gradient))[0], gradient_by_loops(x, gradient, size, padding))


def test_by_hand():
    x = jnp.asarray([[1.0, 5.0, 2.0], [5.0, 0.0, 3.0], [0.0, 0.0, 7.0]]).reshape(1, 3, 3, 1)
    y, pull = jax.vjp(lambda x: max_pool(x, 3, 1), x)
    np.testing.assert_array_equal(y[0, :, :, 0], [[5, 5], [5, 7]])
    gradient = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(pull(gradient)[0][0, :, :, 0], [[0, 3, 0], [3, 0, 0], [0, 0, 4]])


def test_keeps_bfloat16():
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]], jnp.bfloat16).reshape(1, 2, 2, 1)
    y, pull = jax.vjp(lambda x: max_pool(x, 2, 0), x)
    (gradient,) = pull(jnp.ones_like(y))
    assert (y.dtype, gradient.dtype) == (jnp.bfloat16, jnp.bfloat16)
    np.testing.assert_array_equal(gradient[0, :, :, 0].astype(jnp.float32), [[0, 0], [0, 1]])
