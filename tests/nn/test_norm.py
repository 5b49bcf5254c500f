import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.nn.norm import BatchNorm, ConvNorm, FrozenBatchNorm


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


STATISTICS = {"mean": jnp.asarray([1.0, -2.0]), "var": jnp.asarray([4.0, 0.5])}
AFFINE = {"scale": jnp.asarray([3.0, 0.5]), "bias": jnp.asarray([0.25, 1.0])}


def test_batch_norm_with_running_statistics_is_the_frozen_one(rng):
    x = jnp.asarray(rng.standard_normal((3, 4, 5, 2)), jnp.float32)
    found = BatchNorm(0.1).apply({"params": AFFINE, "batch_stats": STATISTICS}, x)
    np.testing.assert_array_equal(found, FrozenBatchNorm(0.1).apply({"batch_stats": {**STATISTICS, **AFFINE}}, x))


@pytest.mark.parametrize("rows", [None, [True, False, True]])
def test_batch_norm_in_training_normalises_what_is_counted_and_moves_the_running_statistics(rng, rows):
    x = rng.standard_normal((3, 4, 5, 2)) * [2, 1] + [0, 3]
    if rows is not None:
        x[1] = 1e6  # padding
    counted = None if rows is None else jnp.asarray(rows)
    variables = {"params": AFFINE, "batch_stats": STATISTICS}
    found, changed = BatchNorm(0.1).apply(variables, jnp.asarray(x, jnp.float32), counted, mutable=["batch_stats"])
    seen = x[[True] * 3 if rows is None else rows].reshape(-1, 2)
    expected = (x - seen.mean(axis=0)) / np.sqrt(seen.var(axis=0) + 0.1) * AFFINE["scale"] + AFFINE["bias"]
    # Means of up to 60 values in float32.
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5)
    running = changed["batch_stats"]
    np.testing.assert_allclose(running["mean"], 0.9 * STATISTICS["mean"] + 0.1 * seen.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(running["var"], 0.9 * STATISTICS["var"] + 0.1 * seen.var(axis=0, ddof=1), atol=1e-5)


def test_batch_norm_of_nothing_counted_keeps_its_statistics_and_stays_finite():
    x = jnp.full((2, 3, 3, 2), 7.0)

    def total(affine, x):
        found, changed = BatchNorm(0.1).apply({"params": affine, "batch_stats": STATISTICS}, x, jnp.zeros(2, bool), mutable=["batch_stats"])
        return jnp.sum(found), changed

    gradients, changed = jax.grad(total, argnums=(0, 1), has_aux=True)(AFFINE, x)
    for name, values in STATISTICS.items():
        np.testing.assert_array_equal(changed["batch_stats"][name], values)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize(
    ("norm", "leaves"),
    [
        ("none", {"params": {"conv": {"kernel", "bias"}}}),
        ("group_norm", {"params": {"conv": {"kernel"}, "norm": {"scale", "bias"}}}),
        ("batch_norm", {"params": {"conv": {"kernel"}, "norm": {"scale", "bias"}}, "batch_stats": {"norm": {"mean", "var"}}}),
        ("frozen_bn", {"params": {"conv": {"kernel"}}, "batch_stats": {"norm": {"mean", "var", "scale", "bias"}}}),
    ],
)
def test_a_convolution_before_a_norm_has_no_bias(key, norm, leaves):
    variables = jax.eval_shape(ConvNorm(8, 3, norm, 1e-5).init, key, jnp.zeros((1, 4, 4, 3)))
    assert {c: {layer: set(values) for layer, values in layers.items()} for c, layers in variables.items()} == leaves


@pytest.mark.parametrize("norm", ["frozen_bn", "batch_norm", "group_norm"])
def test_norms_of_bfloat16_are_those_of_float32_rounded_once(key, rng, norm):
    """Of values far from zero, whose mean and deviation bfloat16 sums would not have."""
    x = jnp.asarray(100 + rng.standard_normal((4, 16, 16, 8)), jnp.bfloat16)
    module = ConvNorm(8, 1, norm, 1e-5, kernel_init=lambda *_: jnp.eye(8))
    variables = module.init(key, x)
    found, changed = module.apply(variables, x, mutable=["batch_stats"])
    expected, moved = module.apply(variables, x.astype(jnp.float32), mutable=["batch_stats"])
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=2**-8, atol=1e-6)
    assert jax.tree.map(lambda leaf: leaf.dtype, (variables, changed)) == jax.tree.map(lambda _: jnp.dtype("float32"), (variables, changed))
    for one, other in zip(jax.tree.leaves(changed), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
