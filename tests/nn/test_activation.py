import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.nn.activation import relu


def test_values_and_gradient_by_hand():
    values, back = jax.vjp(relu, jnp.asarray([-2.0, -0.0, 0.0, 3.0]))
    np.testing.assert_array_equal(values, [0, 0, 0, 3])
    np.testing.assert_array_equal(back(jnp.asarray([5.0, 6.0, 7.0, 8.0]))[0], [0, 0, 0, 8])


def test_remembers_nothing_but_its_output():
    _, back = jax.vjp(relu, jnp.asarray([-1.0, 2.0]))
    kept = [leaf for leaf in jax.tree.leaves(back) if leaf.shape]
    assert len(kept) == 1
    np.testing.assert_array_equal(kept[0], [0, 2])


def test_nan_stays_nan():
    assert jnp.isnan(relu(jnp.asarray([jnp.nan]))).all()


def test_keeps_bfloat16():
    values, back = jax.vjp(relu, jnp.ones(3, jnp.bfloat16))
    assert (values.dtype, back(values)[0].dtype) == (jnp.bfloat16, jnp.bfloat16)
