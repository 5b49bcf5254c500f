import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import binary_cross_entropy, cross_entropy, masked_ratio, ratio_value, smooth_l1
from maskrcnn_jax.structs import Ratio
from tests.ops.checks import assert_close, assert_gradient, assert_leading_axes_are_free, assert_transforms_agree
from tests.oracles import losses as oracle

ATOL = 1e-5  # losses up to about 20 in float32
BETAS = [0.0, 1 / 9, 1.0]


@pytest.fixture
def logits(rng):
    return (4 * rng.standard_normal((30, 5))).astype(np.float32)


def test_binary_cross_entropy_equals_the_oracle(rng, logits):
    targets = rng.random(logits.shape).astype(np.float32)
    targets[0], targets[1] = 0, 1
    expected = np.vectorize(oracle.binary_cross_entropy)(logits.astype(np.float64), targets.astype(np.float64))
    assert_close(binary_cross_entropy(jnp.asarray(logits), jnp.asarray(targets)), expected, atol=ATOL)


def test_binary_cross_entropy_by_hand():
    logits, targets = jnp.asarray([0.0, 0.0, 1000.0, -1000.0, 1000.0, -1000.0]), jnp.asarray([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    expected = np.asarray([np.log(2), np.log(2), 1000, 1000, 0, 0])
    assert_close(binary_cross_entropy(logits, targets), expected, atol=1e-6)  # one rounding of log 2
    gradient = jax.grad(lambda x: jnp.sum(binary_cross_entropy(x, targets)))(logits)
    assert gradient.tolist() == [0.5, -0.5, 1, -1, 0, 0]


def test_binary_cross_entropy_of_the_opposite(rng, logits):
    """A property: -x against 1 - t is the same."""
    x, t = jnp.asarray(logits), jnp.asarray(rng.random(logits.shape), jnp.float32)
    assert_close(binary_cross_entropy(-x, 1 - t), binary_cross_entropy(x, t), atol=ATOL)


def test_cross_entropy_equals_the_oracle(rng, logits):
    labels = rng.integers(0, 5, 30).astype(np.int32)
    expected = np.asarray([oracle.cross_entropy(x, label) for x, label in zip(logits, labels, strict=True)])
    assert_close(cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), expected, atol=ATOL)


def test_cross_entropy_by_hand():
    logits, labels = jnp.asarray([[0.0, 0.0, 0.0, 0.0], [1000.0, 0.0, 0.0, 0.0], [1000.0, 0.0, 0.0, 0.0]]), jnp.asarray([2, 0, 3])
    assert_close(cross_entropy(logits, labels), np.asarray([np.log(4), 0, 1000]), atol=1e-6)


def test_cross_entropy_does_not_move_with_the_logits(logits):
    labels = jnp.arange(30) % 5
    # The shifted logits lose 7 bits of 23.
    assert_close(cross_entropy(jnp.asarray(logits) + 100, labels), cross_entropy(jnp.asarray(logits), labels), atol=1e-4)


@pytest.mark.parametrize("beta", BETAS)
def test_smooth_l1_equals_the_oracle(rng, beta):
    predictions, targets = rng.standard_normal((2, 30, 4)).astype(np.float32)
    expected = np.asarray([oracle.smooth_l1(p, t, beta) for p, t in zip(predictions, targets, strict=True)])
    assert_close(smooth_l1(jnp.asarray(predictions), jnp.asarray(targets), beta=beta), expected, atol=ATOL)


def test_smooth_l1_by_hand():
    predictions, targets = jnp.asarray([[1.0, -2.0, 0.5, 4.0]]), jnp.asarray([[0.0, -4.0, 0.5, 1.0]])  # off by 1, 2, 0, 3
    assert smooth_l1(predictions, targets, beta=0.0).tolist() == [6]
    assert smooth_l1(predictions, targets, beta=2.0).tolist() == [0.25 + 1 + 0 + 2]
    gradient = jax.grad(lambda p: jnp.sum(smooth_l1(p, targets, beta=2.0)))(predictions)
    assert gradient.tolist() == [[0.5, 1, 0, 1]]


@pytest.mark.parametrize("beta", BETAS)
def test_smooth_l1_is_symmetric(rng, beta):
    a, b = jnp.asarray(rng.standard_normal((2, 30, 4)), jnp.float32)
    assert_close(smooth_l1(a, b, beta=beta), smooth_l1(b, a, beta=beta))


def test_smooth_l1_error_names_beta():
    with pytest.raises(ValueError) as error:
        smooth_l1(jnp.zeros((1, 4)), jnp.zeros((1, 4)), beta=-1.0)
    assert str(error.value) == "beta must not be negative; got -1.0"


def test_ratio_by_hand():
    ratio = masked_ratio(jnp.asarray([1.0, 2.0, 4.0, np.nan]), jnp.asarray([True, False, True, False]), jnp.asarray(2.0))
    assert (ratio.numerator.item(), ratio.denominator.item()) == (5, 2)
    assert ratio_value(ratio).item() == 2.5
    assert ratio_value(Ratio(jnp.asarray(1.0), jnp.asarray(0.25))).item() == 4
    assert ratio_value(Ratio(jnp.asarray(3.0), jnp.asarray(0.0))).item() == 0


def test_ratios_add_up(rng):
    """A property: the ratio of the whole is the sum of numerators over the sum of denominators of its parts."""
    values, mask = jnp.asarray(rng.random(20), jnp.float32), jnp.asarray(rng.random(20) < 0.5)
    count = jnp.sum(mask).astype(jnp.float32)
    parts = [masked_ratio(values[s], mask[s], jnp.sum(mask[s]).astype(jnp.float32)) for s in (slice(7), slice(7, 20))]
    whole = masked_ratio(values, mask, count)
    assert_close(Ratio(*(a + b for a, b in zip(*parts, strict=True))), whole, atol=1e-6)  # another order of the sum


LOSSES = {
    "binary": lambda x: binary_cross_entropy(x[:, 0], jnp.full(len(x), 0.25, x.dtype)),
    "softmax": lambda x: cross_entropy(x, jnp.arange(len(x)) % x.shape[1]),
    "smooth": lambda x: smooth_l1(x[:, :4], jnp.ones((len(x), 4), x.dtype), beta=0.5),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("garbage", [0.0, 1e30, -1e30])
def test_garbage_in_invalid_rows_changes_no_value_and_no_gradient(logits, name, garbage):
    valid = jnp.arange(30) < 15

    def loss(x):
        return ratio_value(masked_ratio(LOSSES[name](x), valid, jnp.asarray(15.0)))

    run = jax.jit(jax.value_and_grad(loss))
    assert_close(run(jnp.asarray(logits).at[15:].set(garbage)), run(jnp.asarray(logits)))


@pytest.mark.parametrize("garbage", [99, -1, -99])
def test_garbage_labels_change_no_value_and_no_gradient(logits, garbage):
    valid, labels = jnp.arange(30) < 15, jnp.arange(30) % 5

    @jax.value_and_grad
    def loss(x, labels):
        return ratio_value(masked_ratio(cross_entropy(x, labels), valid, jnp.asarray(15.0)))

    assert_close(loss(jnp.asarray(logits), jnp.where(valid, labels, garbage)), loss(jnp.asarray(logits), labels))


@pytest.mark.parametrize("name", LOSSES)
def test_of_nothing_is_zero_with_zero_gradient(logits, name):
    def loss(x):
        return ratio_value(masked_ratio(LOSSES[name](x), jnp.zeros(30, bool), jnp.asarray(0.0)))

    value, gradient = jax.value_and_grad(loss)(jnp.asarray(logits))
    assert value == 0
    assert_close(gradient, jnp.zeros((30, 5)))


def test_ratio_of_nothing_has_zero_gradient_by_both_parts():
    gradient = jax.grad(ratio_value)(Ratio(jnp.asarray(3.0), jnp.asarray(0.0)))
    assert (gradient.numerator.item(), gradient.denominator.item()) == (0, 0)


def test_transforms_agree(rng, logits):
    x, t = logits.reshape(2, 15, 5), rng.random((2, 15, 5)).astype(np.float32)
    assert_transforms_agree(binary_cross_entropy, x, t, atol=ATOL)
    assert_transforms_agree(cross_entropy, x, rng.integers(0, 5, (2, 15)).astype(np.int32), atol=ATOL)
    assert_transforms_agree(functools.partial(smooth_l1, beta=0.5), x[..., :4], t[..., :4], atol=ATOL)
    assert_transforms_agree(lambda v, m, d: ratio_value(masked_ratio(v, m, d)), x[..., 0], t[..., 0] < 0.5, t[:, 0, 0], atol=ATOL)


def test_leading_axes_are_free(rng, logits):
    targets, labels = rng.random((30, 5)).astype(np.float32), rng.integers(0, 5, 30).astype(np.int32)
    assert_leading_axes_are_free(binary_cross_entropy, logits, targets)
    assert_leading_axes_are_free(cross_entropy, logits, labels)
    assert_leading_axes_are_free(functools.partial(smooth_l1, beta=0.5), logits[:, :4], targets[:, :4])


def test_gradients(rng, logits):
    targets, labels = rng.random((30, 5)).astype(np.float32), rng.integers(0, 5, 30).astype(np.int32)
    assert_gradient(binary_cross_entropy, logits, targets, wrt=(0, 1))
    assert_gradient(cross_entropy, logits, labels)
    for beta in BETAS:
        assert_gradient(functools.partial(smooth_l1, beta=beta), logits[:, :4], targets[:, :4], wrt=(0, 1))
    assert_gradient(lambda v, m, d: ratio_value(masked_ratio(v, m, d)), logits[:, 0], labels > 2, np.float32([7])[0], wrt=(0, 2))
