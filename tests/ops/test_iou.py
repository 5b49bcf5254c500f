import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import pairwise_intersection, pairwise_ioa, pairwise_iou
from tests.ops.checks import assert_close, assert_gradient, assert_transforms_agree
from tests.oracles import boxes as oracle

ORACLES = [(pairwise_intersection, oracle.intersection), (pairwise_iou, oracle.iou), (pairwise_ioa, oracle.ioa)]
# float32 areas up to 900; the quotients are a few roundings of 1e-7.
ATOL = {pairwise_intersection: 1e-3, pairwise_iou: 1e-5, pairwise_ioa: 1e-5}


@pytest.fixture
def boxes(rng):
    corners, sides = rng.uniform(0, 40, (30, 2)), rng.uniform(0.5, 30, (30, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


@pytest.mark.parametrize(("fn", "reference"), ORACLES)
def test_equals_the_oracle(boxes, fn, reference):
    boxes[:3] = [[5, 5, 5, 9], [9, 9, 5, 5], [5, 9, 9, 5]]  # without area
    others = np.concatenate([boxes[10:], boxes[:4]])
    expected = [[reference(a, b) for b in others] for a in boxes]
    assert_close(fn(jnp.asarray(boxes), jnp.asarray(others)), np.asarray(expected), atol=ATOL[fn])


def test_by_hand():
    boxes = jnp.asarray([[0.0, 0.0, 4.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
    others = jnp.asarray([[2.0, 1.0, 6.0, 3.0], [4.0, 0.0, 8.0, 2.0], [0.0, 0.0, 4.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
    assert pairwise_intersection(boxes, others).tolist() == [[2, 0, 8, 0], [0, 0, 0, 0]]
    assert pairwise_ioa(boxes, others).tolist() == [[0.25, 0, 1, 0], [0, 0, 0, 0]]
    assert_close(pairwise_iou(boxes, others), np.asarray([[2 / 14, 0, 1, 0], [0, 0, 0, 0]]), atol=1e-7)


def test_of_boxes_smaller_than_a_pixel():
    box, other = jnp.asarray([[0.0, 0.0, 0.5, 0.5]]), jnp.asarray([[0.25, 0.0, 0.75, 0.5]])
    assert_close(pairwise_iou(box, other), np.asarray([[1 / 3]]), atol=1e-7)  # one rounding
    assert pairwise_ioa(box, other).tolist() == [[0.5]]


def test_iou_is_symmetric_and_one_with_itself(boxes):
    iou = pairwise_iou(jnp.asarray(boxes), jnp.asarray(boxes))
    assert_close(iou, iou.T, atol=1e-6)  # the sum of the areas is rounded in another order
    assert_close(jnp.diag(iou), np.ones(30), atol=1e-6)


@pytest.mark.parametrize("fn", [f for f, _ in ORACLES])
def test_garbage_in_padding_stays_there(boxes, fn):
    clean, valid = jnp.asarray(boxes), jnp.arange(30) < 15
    spoiled = clean.at[15:].set(jnp.asarray([[0, 0, 0, 0], [-1e9, 1e9, 1e9, -1e9], [9, 9, 2, 2]] * 5, jnp.float32))

    def loss(a, b):
        values = fn(a, b)
        return jnp.sum(jnp.where(valid[:, None] & valid[None, :], values, 0) ** 2), values[:15, :15]

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    value, gradients = run(spoiled, spoiled)
    expected, clean_gradients = run(clean, clean)
    assert_close((value, [g[:15] for g in gradients]), (expected, [g[:15] for g in clean_gradients]))
    assert_close([g[15:] for g in gradients], [jnp.zeros((15, 4))] * 2)
    assert bool(jnp.all(jnp.isfinite(fn(spoiled, spoiled))))


@pytest.mark.parametrize("fn", [f for f, _ in ORACLES])
def test_transforms_agree(boxes, fn):
    batch = boxes.reshape(2, 15, 4)
    assert_transforms_agree(fn, batch, batch[::-1, :7], atol=ATOL[fn])


@pytest.mark.parametrize("fn", [f for f, _ in ORACLES])
def test_gradient(boxes, fn):
    assert_gradient(fn, boxes[:20], boxes[20:], wrt=(0, 1))
