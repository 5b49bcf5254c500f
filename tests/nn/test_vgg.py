from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax.config import BackboneConfig
from maskrcnn_jax.nn import build_trunk
from maskrcnn_jax.nn.vgg import Vgg
from tests.oracles import vgg as oracle

LAYERS = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", *(f"conv{block}_{i}" for block in (3, 4, 5) for i in (1, 2, 3))]


def config_of(**fields):
    return BackboneConfig(kind="vgg", depth=16, **fields)


def traced(config, shape=(1, 64, 96, 3)):
    """(outputs, variables), shapes only."""
    return jax.eval_shape(build_trunk(config).init_with_output, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(("width", "channels"), [(64, (256, 512, 512, 512)), (16, (64, 128, 128, 128))])
def test_shapes_and_layers(width, channels):
    config = config_of(width=width, norm="none")
    outputs, variables = traced(config)
    assert build_trunk(config).channels == channels
    assert [x.shape for x in outputs] == [(1, 64 // s, 96 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)]
    assert list(variables) == ["params"]
    assert sorted(variables["params"]) == sorted(LAYERS)


def test_number_of_parameters_is_the_published_one():
    """torchvision's vgg16 has 138,357,544, of which 123,642,856 are the three layers of its classifier."""
    _, variables = traced(config_of(norm="none"))
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables)) == 138_357_544 - 123_642_856


@pytest.mark.parametrize(("norm", "collection"), [("frozen_bn", "batch_stats"), ("batch_norm", "params"), ("group_norm", "params")])
def test_every_convolution_has_the_norm_and_then_no_bias(norm, collection):
    _, variables = traced(config_of(width=16, norm=norm, frozen_stages=0))
    assert {path[-2:] for path in flatten_dict(variables["params"]) if path[-2] == "conv"} == {("conv", "kernel")}
    assert {path[0] for path in flatten_dict(variables[collection]) if path[1:] == ("norm", "scale")} == set(LAYERS)


@pytest.mark.parametrize("size", [(32, 32), (39, 45)])
def test_agrees_with_column_d_of_the_paper(size, rng):
    """Sides of 39 and 45 are odd at several pools: 39 19 9 4 2 1 and 45 22 11 5 2 1."""
    module = Vgg(config_of(width=16, norm="none"))
    images = rng.standard_normal((1, *size, 3)).astype(np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)

    def fill(leaf):
        deviation = 0.1 if leaf.ndim == 1 else np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return (deviation * rng.standard_normal(leaf.shape)).astype(np.float32)

    variables = jax.tree.map(fill, shapes)
    found = jax.jit(module.apply)(variables, images)
    convs = [variables["params"][layer]["conv"] for layer in LAYERS]
    for level, expected in zip(found, oracle.levels(images[0], [(c["kernel"], c["bias"]) for c in convs]), strict=True):
        # float32 sums of up to 1,152 products through up to 13 layers.
        np.testing.assert_allclose(level[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_pool_of_the_last_block_by_hand():
    """Kernels that copy and biases of 0: every layer repeats its input, so C5 is the largest of each 32 x 32 pixels."""
    module = Vgg(config_of(width=16, norm="none"))
    x = jnp.arange(32 * 64, dtype=jnp.float32).reshape(1, 32, 64, 1) * jnp.asarray([1.0, 0.0, 0.0])
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape).at[(1, 1, 0, 0)[: leaf.ndim]].set(leaf.ndim > 1), shapes)
    c5 = jax.jit(module.apply)(variables, x)[-1]
    assert c5[0, :, :, 0].tolist() == [[31 * 64 + 31, 31 * 64 + 63]]
    assert not c5[..., 1:].any()


def test_stages_of_layers():
    assert [Vgg.stage(layer) for layer in LAYERS] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_frozen_stages_of_batch_norm_keep_their_statistics():
    module = Vgg(config_of(width=16, norm="batch_norm", frozen_stages=2))
    x = jnp.ones((2, 32, 32, 3))
    variables = jax.jit(module.init)(jax.random.key(0), x)
    _, changed = jax.jit(partial(module.apply, mutable=["batch_stats"]))(variables, x)
    before, after = flatten_dict(variables["batch_stats"]), flatten_dict(changed["batch_stats"])
    assert {path[0] for path, leaf in after.items() if not np.array_equal(leaf, before[path])} == set(LAYERS[7:])


@pytest.mark.slow
def test_convolutions_computed_again_give_the_same_gradients(rng):
    config = config_of(width=16, norm="batch_norm", frozen_stages=0)
    x = jnp.asarray(rng.standard_normal((2, 32, 32, 3)), jnp.float32)
    variables = jax.jit(Vgg(config).init)(jax.random.key(0), x)

    def run(variables, remat):
        def total(params):
            outputs, changed = build_trunk(config, remat=remat).apply({**variables, "params": params}, x, mutable=["batch_stats"])
            return sum(jnp.sum(level**2) for level in outputs), changed

        return jax.grad(total, has_aux=True)(variables["params"])

    plain, again = (jax.jit(partial(run, remat=remat))(variables) for remat in (False, True))
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    for expected, found in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())  # the same sums, fused otherwise
