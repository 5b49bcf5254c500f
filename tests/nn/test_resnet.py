from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax.config import BackboneConfig
from maskrcnn_jax.nn.resnet import ResNet

# Numbers of parameters that torchvision documents for its ResNets, less the classifier's.
PARAMETERS = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
    152: 60_192_808 - 2_049_000,
}


def traced(config, shape=(1, 64, 96, 3)):
    """(outputs, variables), shapes only."""
    return jax.eval_shape(ResNet(config).init_with_output, jax.random.key(0), jnp.zeros(shape))


def count(tree, names=None):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return sum(int(np.prod(leaf.shape)) for path, leaf in leaves if names is None or path[-1].key in names)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_shapes_and_number_of_parameters(depth):
    config = BackboneConfig(depth=depth)
    outputs, variables = traced(config)
    channels = (64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)
    assert ResNet(config).channels == channels
    assert [x.shape for x in outputs] == [(1, 64 // s, 96 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)]
    assert count(variables["params"]) + count(variables["batch_stats"], ("scale", "bias")) == PARAMETERS[depth]


def test_width_scales_every_stage():
    config = BackboneConfig(depth=18, width=32, norm="group_norm")
    outputs, variables = traced(config)
    assert ResNet(config).channels == tuple(x.shape[-1] for x in outputs) == (32, 64, 128, 256)
    assert list(variables) == ["params"]


@pytest.mark.parametrize(("stride_on", "sides"), [("1x1", [8, 8, 8]), ("3x3", [16, 8, 8])])
def test_where_a_bottleneck_has_its_stride(stride_on, sides):
    module = ResNet(BackboneConfig(depth=50, width=32, stride_on=stride_on))
    x = jnp.zeros((1, 64, 64, 3))

    def intermediates(key):
        return module.init_with_output(key, x, capture_intermediates=True, mutable=True)[1]["intermediates"]

    block = jax.eval_shape(intermediates, jax.random.key(0))["res3_0"]
    assert [block[f"conv{i}"]["__call__"][0].shape[1] for i in (1, 2, 3)] == sides


def test_a_block_of_zeros_is_its_shortcut(key, rng):
    """relu(0 + shortcut(x)): with all convolutions of the residual branches zero, only stem and shortcuts are left."""
    config = BackboneConfig(depth=18, width=32, norm_epsilon=0.0)
    module = ResNet(config)
    x = jnp.asarray(rng.standard_normal((1, 32, 32, 3)), jnp.float32)
    variables = jax.eval_shape(module.init, key, x)

    def fill(path, leaf):
        names = [part.key for part in path]
        if names[-1] == "kernel":
            if "stem" in names:
                return jnp.zeros(leaf.shape).at[3, 3, 0, 0].set(1.0)
            return jnp.eye(*leaf.shape) if "shortcut" in names else jnp.zeros(leaf.shape)
        return jnp.ones(leaf.shape) if names[-1] in ("var", "scale") else jnp.zeros(leaf.shape)

    outputs = jax.jit(module.apply)(jax.tree_util.tree_map_with_path(fill, variables), x)
    stem = np.maximum(np.asarray(x)[0, ::2, ::2, 0], 0)
    padded = np.pad(stem, 1)
    pooled = np.asarray([[padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(8)] for i in range(8)])
    for step, c in zip((1, 2, 4, 8), outputs, strict=True):
        np.testing.assert_array_equal(c[0, :, :, 0], pooled[::step, ::step])
        assert not c[..., 1:].any()


@pytest.mark.parametrize(("depth", "groups", "width", "millions"), [(50, 32, 4, 22.98), (101, 32, 8, 86.74), (50, 1, 128, 66.83)])
def test_resnext_and_wide_resnet_have_the_published_number_of_parameters(depth, groups, width, millions):
    """torchvision's resnext50_32x4d, resnext101_32x8d and wide_resnet50_2, without the classifier of 1000 x 2049."""
    config = BackboneConfig(depth=depth, groups=groups, width_per_group=width)
    shapes = jax.eval_shape(ResNet(config).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    stored = {path: leaf for path, leaf in flatten_dict(shapes).items() if path[-1] not in ("mean", "var")}
    assert round(sum(np.prod(leaf.shape) for leaf in stored.values()) / 1e6, 2) == millions


def test_frozen_stages_of_batch_norm_keep_their_statistics():
    config = BackboneConfig(depth=18, width=16, norm="batch_norm", frozen_stages=2)
    module = ResNet(config)
    x = jnp.ones((2, 32, 32, 3))
    variables = jax.jit(module.init)(jax.random.key(0), x)
    _, changed = jax.jit(partial(module.apply, mutable=["batch_stats"]))(variables, x)
    moved = {
        path[0]
        for path, leaf in flatten_dict(changed["batch_stats"]).items()
        if not np.array_equal(leaf, flatten_dict(variables["batch_stats"])[path])
    }
    assert moved == {"res3_0", "res3_1", "res4_0", "res4_1", "res5_0", "res5_1"}
