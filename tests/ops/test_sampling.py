import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import sample_balanced
from tests.ops.checks import assert_transforms_agree
from tests.oracles import selection as oracle


def sampled(positive, negative, priority, *, size, max_positives):
    """(positives, negatives), and the struct's own rules."""
    run = jax.jit(sample_balanced, static_argnames=("size", "max_positives"))
    samples = run(jnp.asarray(positive), jnp.asarray(negative), jnp.asarray(priority, jnp.float32), size=size, max_positives=max_positives)
    assert samples.indices.shape == samples.positive.shape == samples.valid.shape == (size,)
    indices, is_positive, valid = (np.asarray(x) for x in samples)
    order = 2 * (is_positive & valid) + (valid & ~is_positive)
    assert (np.diff(order) <= 0).all()  # positives, then negatives, then padding
    assert not is_positive[~valid].any()
    return indices[is_positive].tolist(), indices[valid & ~is_positive].tolist()


@pytest.mark.parametrize("kinds", [(0.1, 0.5), (0.6, 0.2), (0.05, 0.1), (0, 0.5), (0.5, 0), (0, 0)])
@pytest.mark.parametrize(("size", "max_positives"), [(16, 4), (16, 16), (16, 0), (60, 20)])
def test_equals_the_oracle(rng, kinds, size, max_positives):
    draw = rng.random(50)
    positive, negative = draw < kinds[0], draw > 1 - kinds[1]
    priority = rng.integers(-9, 9, 50).astype(np.float32)  # with ties
    found = sampled(positive, negative, priority, size=size, max_positives=max_positives)
    assert found == oracle.sample(positive, negative, priority, size, max_positives)


def test_by_hand():
    positive, negative = [True, True, False, False, True, False], [False, False, True, True, False, False]
    priority = [1, 5, 2, 3, 4, 9]
    assert sampled(positive, negative, priority, size=3, max_positives=1) == ([1], [3, 2])
    assert sampled(positive, negative, priority, size=3, max_positives=2) == ([1, 4], [3])
    assert sampled(positive, negative, priority, size=6, max_positives=6) == ([1, 4, 0], [3, 2])
    assert sampled([False] * 6, negative, priority, size=3, max_positives=2) == ([], [3, 2])
    assert sampled(positive, negative, priority, size=0, max_positives=0) == ([], [])


def test_uniform_priority_samples_every_candidate_alike(key):
    positive, negative = jnp.arange(12) < 4, jnp.arange(12) >= 6

    @jax.vmap
    def counts(key):
        samples = sample_balanced(positive, negative, jax.random.uniform(key, (12,)), size=6, max_positives=2)
        return jnp.zeros(12, jnp.int32).at[samples.indices].add(samples.valid.astype(jnp.int32))

    share = np.asarray(counts(jax.random.split(key, 2000))).mean(axis=0)
    # 2 of 4, none of 2, 4 of 6; the standard deviation of a share over 2000 draws is at most 0.0112.
    np.testing.assert_allclose(share, [1 / 2] * 4 + [0] * 2 + [2 / 3] * 6, atol=5 * 0.0112)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_the_priority_of_others_changes_nothing(rng, garbage):
    positive, negative = np.arange(20) < 6, np.arange(20) >= 12
    priority = rng.random(20).astype(np.float32)
    spoiled = np.where(positive | negative, priority, garbage)
    expected = sampled(positive, negative, priority, size=8, max_positives=4)
    assert sampled(positive, negative, spoiled, size=8, max_positives=4) == expected


def test_transforms_agree(rng):
    draw, priority = rng.random((2, 20)), rng.random((2, 20)).astype(np.float32)
    assert_transforms_agree(functools.partial(sample_balanced, size=8, max_positives=4), draw < 0.3, draw > 0.5, priority)


@pytest.mark.parametrize("max_positives", [-1, 5])
def test_error_names_the_range(max_positives):
    with pytest.raises(ValueError) as error:
        sampled([True], [False], [0], size=4, max_positives=max_positives)
    assert str(error.value) == f"max_positives must be in [0, 4]; got {max_positives}"
