import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import decode_boxes, encode_boxes
from tests.ops.checks import assert_close, assert_gradient, assert_leading_axes_are_free, assert_transforms_agree
from tests.oracles import boxes as oracle

WEIGHTS = (10.0, 8.0, 5.0, 4.0)
MAX_LOG_SCALE = math.log(1000 / 16)
encode = functools.partial(encode_boxes, weights=WEIGHTS)
decode = functools.partial(decode_boxes, weights=WEIGHTS, max_log_scale=MAX_LOG_SCALE)


def some_boxes(rng, n=40):
    corners, sides = rng.uniform(-10, 200, (n, 2)), np.exp(rng.uniform(0, 5, (n, 2)))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


@pytest.fixture
def anchors(rng):
    return some_boxes(rng)


def test_encode_equals_the_oracle(rng, anchors):
    boxes = some_boxes(rng)
    expected = [oracle.encode(b, a, WEIGHTS) for b, a in zip(boxes, anchors, strict=True)]
    # Differences of coordinates up to 350 (rounded to 3e-5) over sides of at least 1, times 10.
    assert_close(encode(jnp.asarray(boxes), jnp.asarray(anchors)), np.asarray(expected), atol=1e-3)


def test_decode_equals_the_oracle(rng, anchors):
    deltas = (rng.standard_normal((40, 4)) * 8).astype(np.float32)
    expected = np.asarray([oracle.decode(d, a, WEIGHTS, MAX_LOG_SCALE) for d, a in zip(deltas, anchors, strict=True)])
    # float32: the relative rounding of coordinates, of which exp's argument has a few.
    assert_close(decode(jnp.asarray(deltas), jnp.asarray(anchors)), expected, atol=1e-3, rtol=2e-6)


def test_by_hand():
    anchor, box = jnp.asarray([10.0, 10.0, 14.0, 18.0]), jnp.asarray([12.0, 6.0, 20.0, 22.0])
    # Centres (12, 14) and (16, 14), sides (4, 8) and (8, 16): moved by one width, doubled.
    deltas = encode(box, anchor)
    assert_close(deltas, np.asarray([10, 0, 5 * math.log(2), 4 * math.log(2)]), atol=1e-6)
    assert_close(decode(deltas, anchor), box, atol=1e-5)


def test_scales_are_clipped_from_above_only():
    anchor = jnp.asarray([0.0, 0.0, 2.0, 2.0])
    unclipped = functools.partial(decode_boxes, weights=(1.0, 1.0, 1.0, 1.0), max_log_scale=math.log(8))
    # Sides 2 * 8 at most; small ones as small as they like.
    assert_close(unclipped(jnp.asarray([0.0, 0.0, 50.0, 2.0]), anchor), np.asarray([-7, 1 - math.e**2, 9, 1 + math.e**2]), atol=1e-5)
    assert_close(unclipped(jnp.asarray([0.0, 0.0, -50.0, -2.0]), anchor), np.asarray([1, 1 - math.e**-2, 1, 1 + math.e**-2]), atol=1e-6)


def test_decode_after_encode_is_the_identity(rng, anchors):
    boxes = some_boxes(rng)
    # Coordinates up to 350, sides up to 148 through log and exp: a few roundings of 3e-5.
    limitless = functools.partial(decode_boxes, weights=WEIGHTS, max_log_scale=99.0)
    assert_close(limitless(encode(jnp.asarray(boxes), jnp.asarray(anchors)), jnp.asarray(anchors)), boxes, atol=3e-4)


def test_garbage_in_padding_stays_there_and_finite(rng, anchors):
    boxes, valid = jnp.asarray(some_boxes(rng)), jnp.arange(40) < 20
    padding = jnp.asarray([[0, 0, 0, 0], [9, 9, 2, 2], [-1e6, 1e6, 1e6, -1e6], [5, 5, 5, 9]] * 5, jnp.float32)
    spoil = lambda rows: rows.at[20:].set(padding)  # noqa: E731
    anchors, deltas = jnp.asarray(anchors), encode(boxes, jnp.asarray(anchors))

    def loss(coder, left, right):
        values = coder(left, right)
        return jnp.sum(jnp.where(valid[:, None], values, 0) ** 2), values

    run = jax.value_and_grad(loss, argnums=(1, 2), has_aux=True)
    for coder, left in ((encode, boxes), (decode, deltas)):
        (value, rows), gradients = run(coder, spoil(left), spoil(anchors))
        (expected, clean_rows), clean = run(coder, left, anchors)
        assert_close((value, rows[:20], [g[:20] for g in gradients]), (expected, clean_rows[:20], [g[:20] for g in clean]))
        assert_close([g[20:] for g in gradients], [jnp.zeros((20, 4))] * 2)
        assert bool(jnp.all(jnp.isfinite(rows)))


@pytest.mark.parametrize("which", [0, 1])
def test_a_side_of_nothing_is_taken_as_epsilon(which):
    box, point = jnp.asarray([1.0, 1.0, 2.0, 2.0]), jnp.asarray([1.5, 1.5, 1.5, 0.5])  # without width, of height -1
    pair = (point, box) if which == 0 else (box, point)
    log_epsilon = math.log(np.finfo(np.float32).eps) * (1 if which == 0 else -1)
    assert_close(encode_boxes(*pair, weights=(1.0, 1.0, 1.0, 1.0))[2:], np.asarray([log_epsilon] * 2), atol=1e-5)


def test_transforms_agree(rng, anchors):
    anchors, boxes = anchors.reshape(2, 20, 4), some_boxes(rng).reshape(2, 20, 4)
    # As against the oracle: fused or not, a few roundings.
    assert_transforms_agree(encode, boxes, anchors, atol=1e-4)
    assert_transforms_agree(decode, rng.standard_normal((2, 20, 4)).astype(np.float32), anchors, atol=1e-4)


def test_leading_axes_are_free(rng, anchors):
    assert_leading_axes_are_free(encode, some_boxes(rng), anchors)
    assert_leading_axes_are_free(decode, rng.standard_normal((40, 4)).astype(np.float32), anchors)


def test_gradients(rng, anchors):
    assert_gradient(encode, some_boxes(rng), anchors, wrt=(0, 1))
    assert_gradient(decode, rng.standard_normal((40, 4)).astype(np.float32) * 3, anchors, wrt=(0, 1))


@pytest.mark.parametrize("coder", [encode_boxes, functools.partial(decode_boxes, max_log_scale=1.0)])
def test_error_names_the_weights(coder):
    with pytest.raises(ValueError) as error:
        coder(jnp.zeros((1, 4)), jnp.ones((1, 4)), weights=(1.0, 1.0, 0.0, 1.0))
    assert str(error.value) == "box coder weights must be positive; got (1.0, 1.0, 0.0, 1.0)"
