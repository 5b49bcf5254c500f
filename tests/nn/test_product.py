import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn import product as product_module
from maskrcnn_jax.nn.product import product


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 2, 3)])
@pytest.mark.parametrize("part", [1, 2, 4, 100])
def test_gradients_are_those_of_a_product(rng, monkeypatch, shape, part):
    monkeypatch.setattr(product_module, "PART", part)
    x, kernel, gradient = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((*shape, 4), (4, 5), (*shape, 5)))
    values, back = jax.vjp(lambda x, kernel: product(x, kernel, x.dtype), x, kernel)
    np.testing.assert_array_equal(values, x @ kernel)
    of_x, of_kernel = back(gradient)
    np.testing.assert_allclose(of_x, np.asarray(gradient) @ np.asarray(kernel).T, atol=1e-5)  # sums of 5 products
    expected = np.asarray(x).reshape(-1, 4).T @ np.asarray(gradient).reshape(-1, 5)
    np.testing.assert_allclose(of_kernel, expected, atol=1e-5)  # sums of 6 to 12 products


@pytest.mark.parametrize(
    ("rows", "sums"),
    [
        ((2, 64, 32), "2,4,4,5"),
        ((2, 40, 25), "2,1,4,5"),
        ((1, 1531, 1), "1,1,4,5"),
        ((128, 14, 14), "4,5"),
        ((2048,), "4,5"),
        ((0,), "4,5"),
    ],
)
def test_parts_are_equal_and_of_512_rows_or_more_of_one_image(rows, sums):
    text = str(jax.make_jaxpr(lambda x, g: product_module._in_parts(x, g, x.dtype))(jnp.zeros((*rows, 4)), jnp.zeros((*rows, 5))))
    assert f"f32[{sums}] = dot_general" in text


def test_the_gradient_of_a_float32_kernel_is_the_float32_sum_of_bfloat16_features(rng):
    x, gradient = (jnp.asarray(1 + rng.standard_normal((2048, 4)), jnp.bfloat16) for _ in range(2))
    values, back = jax.vjp(lambda kernel: product(x, kernel, x.dtype), jnp.ones((4, 4)))
    (of_kernel,) = back(gradient)
    assert (values.dtype, of_kernel.dtype) == (jnp.bfloat16, jnp.float32)
    expected = np.asarray(x, np.float64).T @ np.asarray(gradient, np.float64)
    np.testing.assert_allclose(of_kernel, expected, rtol=1e-5)  # bfloat16 would be 2e-3 off


def test_other_platforms_take_one_product():
    back = jax.jit(lambda x, kernel, gradient: jax.vjp(lambda x, kernel: product(x, kernel, x.dtype), x, kernel)[1](gradient))
    traced = back.trace(jnp.zeros((1, 4096, 8)), jnp.zeros((8, 16)), jnp.zeros((1, 4096, 16)))
    for platform, shape in (("cpu", "tensor<1x8x8x16xf32>"), ("cuda", "tensor<8x16xf32>")):
        assert f"-> {shape}" in traced.lower(lowering_platforms=(platform,)).as_text()
