import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import FpnConfig
from maskrcnn_jax.nn import Fpn
from maskrcnn_jax.nn.fpn import upsample


def test_upsample_by_hand():
    x = jnp.asarray([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    assert upsample(x)[0, :, :, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_pyramid_by_hand():
    """Lateral layers times one, output layers that copy: each level is the sum of all above it."""
    features = [jnp.full((1, side, side, 1), value) for side, value in ((8, 1000.0), (4, 100.0), (2, 10.0))]
    features.append(jnp.ones((1, 1, 1, 1)))
    copy = {"kernel": jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0), "bias": jnp.zeros(1)}
    params = {f"output{i}": {"conv": copy} for i in range(2, 6)}
    params |= {f"lateral{i}": {"conv": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}} for i in range(2, 6)}
    pyramid = Fpn(FpnConfig(channels=1)).apply({"params": params}, features)
    assert [x.shape for x in pyramid] == [(1, 8, 8, 1), (1, 4, 4, 1), (1, 2, 2, 1), (1, 1, 1, 1), (1, 1, 1, 1)]
    assert [np.unique(x).tolist() for x in pyramid] == [[1111], [111], [11], [1], [1]]


def test_p6_is_every_second_cell_of_p5(key, rng):
    features = [jnp.asarray(rng.standard_normal((1, 6 * s, 10 * s, 2)), jnp.float32) for s in (8, 4, 2, 1)]
    (*_, p5, p6), _ = jax.jit(Fpn(FpnConfig(channels=2)).init_with_output)(key, features)
    assert p6.shape == (1, 3, 5, 2)
    np.testing.assert_array_equal(p6, p5[:, ::2, ::2])


@pytest.mark.parametrize(("norm", "leaves"), [("none", {"conv"}), ("group_norm", {"conv", "norm"})])
def test_every_convolution_has_the_norm(key, norm, leaves):
    features = [jnp.zeros((1, side, side, 3)) for side in (8, 4, 2, 1)]
    params = jax.eval_shape(Fpn(FpnConfig(channels=8, norm=norm)).init, key, features)["params"]
    assert len(params) == 8
    assert all(set(layer) == leaves for layer in params.values())
