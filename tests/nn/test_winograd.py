import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn import winograd
from maskrcnn_jax.nn.winograd import convolve_3x3, kernel_gradient_3x3


def by_loops(x, kernel):
    n, h, w, _ = x.shape
    padded, values = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), np.zeros((n, h, w, kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            values += padded[:, i : i + h, j : j + w] @ kernel[i, j]
    return values


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (3, 2), (4, 7), (5, 5)])
def test_equals_loops(rng, sides):
    x, kernel = rng.standard_normal((2, *sides, 3)), rng.standard_normal((3, 3, 3, 4))
    found = convolve_3x3(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(found, by_loops(x, kernel), atol=2e-5)  # float32 sums of 27 products of magnitude 1, twice added up


@pytest.mark.parametrize("in_band", [1, 48, 100])  # 24 tiles x channels a row of tiles: bands of 1, 2 and 4 rows, the last ones cut
def test_bands_equal_the_whole(rng, monkeypatch, in_band):
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((2, 9, 5, 3), (3, 3, 3, 4)))
    whole = convolve_3x3(x, kernel)
    monkeypatch.setattr(winograd, "WHOLE", 50)
    monkeypatch.setattr(winograd, "BAND", in_band)
    np.testing.assert_array_equal(
        jax.jit(lambda *arrays: convolve_3x3.__wrapped__(*arrays))(x, kernel), whole
    )  # traced anew; the same sums in the same order


def test_a_kernel_of_one_cell_moves_the_map():
    x = jnp.arange(1.0, 13.0).reshape(1, 3, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 2].set(1.0)  # reads one above and one to the right
    expected = [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]]
    np.testing.assert_allclose(convolve_3x3(x, kernel)[0, :, :, 0], expected, atol=1e-6)  # halves of small integers are exact


def test_float32_is_as_near_to_the_truth_as_a_convolution(rng):
    x, kernel = rng.standard_normal((1, 20, 20, 256)), rng.standard_normal((3, 3, 256, 8)) / 48
    arrays = [jnp.asarray(array, jnp.float32) for array in (x, kernel)]
    usual = jax.lax.conv_general_dilated(*arrays, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))
    exact = by_loops(x, kernel)
    error, usual_error = (np.sqrt(np.mean((np.asarray(found) - exact) ** 2)) for found in (convolve_3x3(*arrays), usual))
    assert error < 4 * usual_error  # 2.25 times fewer products, but sums of up to 16 numbers before and after them


@pytest.mark.parametrize("sides", [(1, 1), (3, 2), (4, 7)])
def test_the_kernel_s_gradient_equals_that_of_loops(rng, sides):
    x, gradient = rng.standard_normal((2, *sides, 3)), rng.standard_normal((2, *sides, 4))
    padded, (h, w) = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), sides
    expected = [[np.einsum("nhwc,nhwd->cd", padded[:, i : i + h, j : j + w], gradient) for j in range(3)] for i in range(3)]
    found = kernel_gradient_3x3(jnp.asarray(x, jnp.float32), jnp.asarray(gradient, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=5e-5)  # float32 sums of 56 products of magnitude 1
