import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn.conv import conv, upsampling_conv

INIT = nn.initializers.normal(1.0)


class Conv(nn.Module):
    kernel: int
    stride: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x):
        return conv(5, self.kernel, stride=self.stride, use_bias=self.use_bias, init=INIT, name="conv")(x)


class Upsampling(nn.Module):
    @nn.compact
    def __call__(self, x):
        return upsampling_conv(5, init=INIT, name="deconv")(x)


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
    np.testing.assert_allclose(found, expected + params["bias"][None, None, None, :], atol=1e-4)


@pytest.mark.parametrize("kernel", [1, 3])
def test_bias_is_optional(key, kernel):
    variables = jax.eval_shape(Conv(kernel, 1, use_bias=False).init, key, jnp.zeros((1, 4, 4, 3)))
    assert list(variables["params"]["conv"]) == ["kernel"]


def test_upsampling_conv_equals_a_loop(key, rng):
    x = jnp.asarray(rng.standard_normal((2, 3, 4, 6)), jnp.float32)
    params = Upsampling().init(key, x)["params"]["deconv"]
    params["bias"] = jnp.asarray(rng.standard_normal(params["bias"].shape), jnp.float32)
    expected = np.zeros((2, 6, 8, 5))
    for row in range(3):
        for column in range(4):
            for i in range(2):
                for j in range(2):
                    expected[:, 2 * row + i, 2 * column + j] = x[:, row, column] @ params["kernel"][:, i, j] + params["bias"][i, j]
    np.testing.assert_allclose(Upsampling().apply({"params": {"deconv": params}}, x), expected, atol=1e-5)
