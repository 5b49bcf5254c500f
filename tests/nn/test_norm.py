import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn.norm import ConvNorm, FrozenBatchNorm


def test_frozen_batch_norm_by_hand():
    statistics = {"mean": jnp.asarray([1.0, 0.0]), "var": jnp.asarray([3.75, 0.0]), "scale": jnp.asarray([5.0, 1.0])}
    x = jnp.asarray([[3.0, 1.0], [-1.0, 0.0]])
    found = FrozenBatchNorm(0.25).apply({"batch_stats": {**statistics, "bias": jnp.asarray([7.0, 1.0])}}, x)
    assert found.tolist() == [[(3 - 1) / 2 * 5 + 7, 1 / 0.5 + 1], [(-1 - 1) / 2 * 5 + 7, 1]]


def test_frozen_batch_norm_has_nothing_to_train(key):
    variables = FrozenBatchNorm(1e-5).init(key, jnp.zeros((1, 2, 2, 3)))
    assert list(variables) == ["batch_stats"]
    assert {name: value.tolist() for name, value in variables["batch_stats"].items()} == {
        "mean": [0, 0, 0],
        "var": [1, 1, 1],
        "scale": [1, 1, 1],
        "bias": [0, 0, 0],
    }


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (32, 4), (512, 32)])
def test_group_norm_of_32_groups_unless_they_get_small(key, rng, channels, groups):
    x = jnp.asarray(3 + 2 * rng.standard_normal((2, 3, 4, 6)), jnp.float32)
    module = ConvNorm(channels, 1, "group_norm", 0.1)
    variables = module.init(key, x)
    plain = np.asarray(x @ variables["params"]["conv"]["kernel"], np.float64).reshape(2, 12, groups, -1)
    expected = (plain - plain.mean(axis=(1, 3), keepdims=True)) / np.sqrt(plain.var(axis=(1, 3), keepdims=True) + 0.1)
    # Mean and variance of up to 192 values in float32, divided by a deviation of down to 0.3.
    np.testing.assert_allclose(module.apply(variables, x), expected.reshape(2, 3, 4, channels), atol=1e-4)


@pytest.mark.parametrize(
    ("norm", "leaves"),
    [
        ("none", {"params": {"conv": {"kernel", "bias"}}}),
        ("group_norm", {"params": {"conv": {"kernel"}, "norm": {"scale", "bias"}}}),
        ("frozen_bn", {"params": {"conv": {"kernel"}}, "batch_stats": {"norm": {"mean", "var", "scale", "bias"}}}),
    ],
)
def test_a_convolution_before_a_norm_has_no_bias(key, norm, leaves):
    variables = jax.eval_shape(ConvNorm(8, 3, norm, 1e-5).init, key, jnp.zeros((1, 4, 4, 3)))
    assert {c: {layer: set(values) for layer, values in layers.items()} for c, layers in variables.items()} == leaves
