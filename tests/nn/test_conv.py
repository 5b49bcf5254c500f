import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn import conv as conv_module
from maskrcnn_jax.nn.conv import UpsamplingConv, conv, convolve, interleave

INIT = nn.initializers.normal(1.0)


class Conv(nn.Module):
    kernel: int
    stride: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x):
        return conv(5, self.kernel, stride=self.stride, use_bias=self.use_bias, init=INIT, name="conv")(x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_equals_a_convolution_padded_by_half_its_kernel(key, rng, kernel, stride):
    x = jnp.asarray(rng.standard_normal((2, 9, 8, 4)), jnp.float32)  # an odd and an even side
    module = Conv(kernel, stride)
    params = module.init(key, x)["params"]["conv"]
    assert params["kernel"].shape == ((4, 5) if kernel == 1 else (kernel, kernel, 4, 5))
    params["bias"] = jnp.arange(5, dtype=jnp.float32)
    pad = kernel // 2
    expected = jax.lax.conv_general_dilated(
        x,
        params["kernel"].reshape(kernel, kernel, 4, 5),
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    found = module.apply({"params": {"conv": params}}, x)
    np.testing.assert_allclose(found, expected + params["bias"][None, None, None, :], atol=1e-4)  # up to 196 products, summed otherwise


def test_a_strided_product_is_apart_from_what_it_reads(key):
    x = jnp.ones((1, 4, 4, 3))
    module = Conv(1, 2)
    variables = module.init(key, x)
    strided = str(jax.make_jaxpr(module.apply)(variables, x))
    assert strided.index("optimization_barrier") < strided.index("dot_general")  # else XLA's GPU compiler ends the process
    assert "optimization_barrier" not in str(jax.make_jaxpr(Conv(1, 1).apply)(variables, x))


def gradients_by_loops(x, kernel, stride, gradient):
    """Gradients of `sum(convolve(x, kernel, stride) * gradient)` for x and kernel."""
    size, (_, h, w, _) = len(kernel), gradient.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    padded_gradient, kernel_gradient = np.zeros_like(padded), np.zeros_like(kernel)
    for row in range(h):
        for column in range(w):
            window = np.s_[:, row * stride : row * stride + size, column * stride : column * stride + size]
            padded_gradient[window] += np.einsum("nd,ijcd->nijc", gradient[:, row, column], kernel)
            kernel_gradient += np.einsum("nijc,nd->ijcd", padded[window], gradient[:, row, column])
    return padded_gradient[:, pad:-pad, pad:-pad], kernel_gradient


def pulled_back(x, kernel, stride, gradient):
    return jax.vjp(lambda x, kernel: convolve(x, kernel, stride, 1), x, kernel)[1](gradient)


@pytest.fixture(params=["tiles", "products", "convolutions"])
def form(request, monkeypatch):
    """What a CPU computes 3x3 convolutions of 4 channels and their gradients by."""
    monkeypatch.setattr(conv_module, "TILED_CELLS", 1 if request.param == "tiles" else 1e9)
    for name in ("TILES_FROM", "GRADIENT_TILES_FROM"):
        monkeypatch.setattr(conv_module, name, 1)
    monkeypatch.setattr(conv_module, "PRODUCTS_FROM", 1 if request.param == "products" else 5)
    return request.param


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("sides", [(9, 8), (4, 10), (1, 2)])
def test_gradients_equal_loops(rng, form, size, stride, sides):
    x, kernel = rng.standard_normal((2, *sides, 4)), rng.standard_normal((size, size, 4, 5))
    gradient = rng.standard_normal((2, *(-(-side // stride) for side in sides), 5))
    found = pulled_back(*(jnp.asarray(array, jnp.float32) for array in (x, kernel)), stride, jnp.asarray(gradient, jnp.float32))
    for one, expected in zip(found, gradients_by_loops(x, kernel, stride, gradient), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-4)  # float32 sums of up to 245 products of magnitude 1


def test_the_kernel_s_gradient_of_ones_counts_the_cells_that_each_tap_reads(form):
    ones = jnp.ones((1, 3, 3, 1))
    _, found = pulled_back(ones, jnp.zeros((3, 3, 1, 1)), 1, ones)
    np.testing.assert_array_equal(found[:, :, 0, 0], [[4, 6, 4], [6, 9, 6], [4, 6, 4]])


@pytest.mark.parametrize(
    ("platform", "sides", "channels", "convolutions", "products"),
    [
        ("cpu", (32, 32), 48, 0, 3 * 17),  # values and both gradients: 16 of maps, 1 of the kernel
        ("cpu", (32, 32), 47, 2, 17),  # the kernel's gradient alone
        ("cpu", (32, 31), 128, 2, 3),  # fewer than 1,024 cells
        ("cpu", (32, 31), 127, 3, 0),
        ("cpu", (32, 32), 31, 3, 0),
        ("cuda", (32, 32), 128, 3, 0),
        ("tpu", (32, 32), 128, 3, 0),
    ],
)
def test_only_cpus_take_other_forms_and_where_they_gain(platform, sides, channels, convolutions, products):
    x, kernel, gradient = jnp.zeros((1, *sides, channels)), jnp.zeros((3, 3, channels, 130)), jnp.zeros((1, *sides, 130))
    both = jax.jit(lambda x, kernel, gradient: (convolve(x, kernel, 1, 1), pulled_back(x, kernel, 1, gradient)))
    text = both.trace(x, kernel, gradient).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == convolutions
    assert text.count("stablehlo.dot_general") == products


def test_a_stem_takes_its_kernel_s_gradient_by_products_on_cpus():
    x, kernel, gradient = jnp.zeros((1, 8, 8, 3)), jnp.zeros((7, 7, 3, 64)), jnp.zeros((1, 4, 4, 64))
    lowered = jax.jit(lambda *arrays: pulled_back(*arrays[:2], 2, arrays[2])).trace(x, kernel, gradient).lower(lowering_platforms=("cpu",))
    assert lowered.as_text().count("stablehlo.dot_general") == 7


@pytest.mark.parametrize("kernel", [1, 3])
def test_bias_is_optional(key, kernel):
    variables = jax.eval_shape(Conv(kernel, 1, use_bias=False).init, key, jnp.zeros((1, 4, 4, 3)))
    assert list(variables["params"]["conv"]) == ["kernel"]


def test_upsampling_conv_equals_a_loop(key, rng):
    x = jnp.asarray(rng.standard_normal((2, 3, 4, 6)), jnp.float32)
    module = UpsamplingConv(5, INIT)
    params = module.init(key, x)["params"]
    params["bias"] = jnp.asarray(rng.standard_normal(params["bias"].shape), jnp.float32)
    expected = np.zeros((2, 6, 8, 5))
    for row in range(3):
        for column in range(4):
            for i in range(2):
                for j in range(2):
                    expected[:, 2 * row + i, 2 * column + j] = x[:, row, column] @ params["kernel"][:, i, j] + params["bias"]
    np.testing.assert_allclose(interleave(module.apply({"params": params}, x)), expected, atol=1e-5)  # sums of 6 products


def test_groups_are_convolutions_side_by_side(rng):
    x = jnp.asarray(rng.standard_normal((2, 5, 6, 6)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, 2, 9)), jnp.float32)
    weights = jnp.asarray(rng.standard_normal((2, 3, 3, 9)), jnp.float32)

    def apart(x, kernel):
        parts = [convolve(x[..., 2 * g : 2 * g + 2], kernel[..., 3 * g : 3 * g + 3], 2, 1) for g in range(3)]
        return jnp.concatenate(parts, axis=-1)

    found, pull = jax.vjp(lambda x, kernel: convolve(x, kernel, 2, 3), x, kernel)
    expected, pull_apart = jax.vjp(apart, x, kernel)
    # Sums of 18 products, and for the kernel of 18, in another order.
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for gradient, other in zip(pull(weights), pull_apart(weights), strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-4)
