import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import box_area, clip_boxes, has_sides
from tests.ops.checks import assert_close, assert_gradient, assert_leading_axes_are_free, assert_transforms_agree
from tests.oracles import boxes as oracle

SIZE = np.asarray([24, 40], np.float32)
ATOL = 1e-3  # areas up to 6400 in float32


@pytest.fixture
def boxes(rng):
    """Corners in any order, half of them outside the image."""
    return rng.uniform(-20, 60, (50, 4)).astype(np.float32)


def test_area_equals_the_oracle(boxes):
    assert_close(box_area(jnp.asarray(boxes)), np.asarray([oracle.area(b) for b in boxes]), atol=ATOL)


def test_area_by_hand():
    areas = box_area(jnp.asarray([[1.0, 2.0, 4.0, 4.0], [4.0, 2.0, 1.0, 4.0], [4.0, 4.0, 1.0, 2.0], [1.0, 1.0, 1.0, 9.0]]))
    assert areas.tolist() == [6, 0, 0, 0]
    assert box_area(jnp.zeros(4)).shape == ()


def test_clip_equals_the_oracle(boxes):
    assert_close(clip_boxes(jnp.asarray(boxes), jnp.asarray(SIZE)), np.asarray([oracle.clip(b, *SIZE) for b in boxes]))


def test_clip_by_hand():
    clipped = clip_boxes(jnp.asarray([[-1.0, -2.0, 99.0, 99.0], [3.0, 4.0, 5.0, 6.0], [50.0, 30.0, -3.0, -4.0]]), jnp.asarray([24.0, 40.0]))
    assert clipped.tolist() == [[0, 0, 40, 24], [3, 4, 5, 6], [40, 24, 0, 0]]


def test_clipping_twice_is_clipping_once(boxes):
    once = clip_boxes(jnp.asarray(boxes), jnp.asarray(SIZE))
    assert_close(clip_boxes(once, jnp.asarray(SIZE)), once)


def test_area_of_a_moved_box_is_the_same(boxes):
    # Coordinates up to 160 are rounded to 2e-5, sides of 80 multiply that.
    assert_close(box_area(jnp.asarray(boxes) + 100), box_area(jnp.asarray(boxes)), atol=0.01)


@pytest.mark.parametrize(
    ("min_side", "expected"), [(0.0, [True, True, False, False]), (2.0, [True, True, False, False]), (2.5, [True, False, False, False])]
)
def test_has_sides(min_side, expected):
    boxes = jnp.asarray([[0.0, 0.0, 3.0, 4.0], [5.0, 5.0, 7.0, 8.0], [5.0, 5.0, 5.0, 8.0], [5.0, 5.0, 8.0, 4.0]])
    assert has_sides(boxes, min_side).tolist() == expected
    assert has_sides(boxes[:, jnp.asarray([1, 0, 3, 2])], min_side).tolist() == expected


def test_positive_sides_suffice():
    assert has_sides(jnp.asarray([[0.0, 0.0, 0.001, 0.5], [0.0, 0.0, 0.0, 0.5]]), 0.0).tolist() == [True, False]


def test_rows_do_not_touch_each_other(boxes):
    """Garbage in padding stays there, in values and in gradients."""
    clean = jnp.asarray(boxes)
    spoiled = clean.at[25:].set(jnp.asarray([np.nan, np.inf, -np.inf, 1e38]))
    for fn in (box_area, lambda b: clip_boxes(b, jnp.asarray(SIZE)), lambda b: has_sides(b, 3.0)):
        assert_close(fn(spoiled)[:25], fn(clean)[:25])
        gradient = jax.grad(lambda b, fn=fn: jnp.sum(fn(b)[:25].astype(jnp.float32)))
        assert_close(gradient(spoiled)[:25], gradient(clean)[:25])


def test_transforms_agree(boxes):
    batch = boxes.reshape(2, 25, 4)
    assert_transforms_agree(box_area, batch, atol=ATOL)
    assert_transforms_agree(clip_boxes, batch, np.stack([SIZE, SIZE + 1]))
    assert_transforms_agree(functools.partial(has_sides, min_side=5.0), batch)


def test_leading_axes_are_free(boxes):
    assert_leading_axes_are_free(box_area, boxes)
    assert_leading_axes_are_free(lambda b: clip_boxes(b, jnp.asarray(SIZE)), boxes)
    assert_leading_axes_are_free(lambda b: has_sides(b, 3.0), boxes)


def test_gradients(boxes):
    assert_gradient(box_area, boxes)
    assert_gradient(clip_boxes, boxes, SIZE, wrt=(0, 1))
