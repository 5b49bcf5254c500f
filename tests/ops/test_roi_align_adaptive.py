import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import roi_align, roi_align_adaptive
from tests.ops.checks import assert_close, assert_sums_in_float32, assert_transforms_agree
from tests.oracles import roi_align as oracle

STRIDES = (4.0, 8.0, 16.0)
# float32 weights, summed over up to 64 samples of values of about 3.
ATOL = 2e-5

CANVAS = (96, 128)
ROIS = np.asarray(
    [
        [3.2, 5.1, 41.7, 33.3],
        [0, 0, 128, 96],  # the whole canvas
        [0, 40.3, 128, 42.1],  # wide and flat: many samples on one axis, one on the other
        [60.4, 0, 61.3, 96],
        [30, 20, 30, 20],  # a point
        [30, 20, 22, 11],  # negative sides
        [10.1, 11.2, 10.4, 11.3],  # within one cell
        [104, 72, 128, 96],  # sides that the bins divide into whole cells
        [100.5, 70.5, 128, 96],
    ],
    np.float32,
)


@pytest.fixture
def pyramid(rng):
    return [jnp.asarray(rng.standard_normal((int(CANVAS[0] / s), int(CANVAS[1] / s), 3)), jnp.float32) for s in STRIDES]


@functools.partial(jax.jit, static_argnames=("size", "aligned"))
def align(pyramid, boxes, levels, *, size=3, aligned=True):
    return roi_align_adaptive(pyramid, boxes, levels, strides=STRIDES, size=size, aligned=aligned)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("size", [3, 2])
def test_equals_the_oracle_on_every_level(pyramid, aligned, size):
    boxes, levels = np.tile(ROIS, (3, 1)), np.repeat(np.arange(3, dtype=np.int32), len(ROIS))
    pooled, cut = align(pyramid, jnp.asarray(boxes), jnp.asarray(levels), size=size, aligned=aligned)
    expected = [oracle.roi_align(pyramid[k], b, STRIDES[k], size, None, aligned) for b, k in zip(boxes, levels, strict=True)]
    assert_close(pooled, np.stack(expected), atol=ATOL)
    assert cut == 0


def test_more_rois_than_go_together(pyramid, rng):
    corners = rng.uniform(0, (100, 70), (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, (28, 26), (200, 2))], axis=1).astype(np.float32)
    levels = np.arange(200, dtype=np.int32) % 3
    pooled, _ = align(pyramid, jnp.asarray(boxes), jnp.asarray(levels))
    expected = [oracle.roi_align(pyramid[k], b, STRIDES[k], 3, None, True) for b, k in zip(boxes, levels, strict=True)]
    assert_close(pooled, np.stack(expected), atol=ATOL)


def test_by_hand():
    cells = jnp.asarray([[0.0, 1, 4, 9, 16, 25, 36, 49]]).T[:, :, None] * jnp.ones((1, 8, 1))  # y squared
    pooled, _ = roi_align_adaptive([cells], jnp.asarray([[1.5, 0.5, 2.5, 4.5]]), jnp.asarray([0]), strides=[1.0], size=2, aligned=True)
    # In cells rows 0 ... 4: two bins of two samples, at 0.5 and 1.5, 2.5 and 3.5; each lies midway between two cells.
    assert pooled[0, :, 0, 0].tolist() == [(0.5 + 2.5) / 2, (6.5 + 12.5) / 2]


@pytest.mark.parametrize("side", [0, 1])
def test_points_on_the_edge_of_what_a_map_covers(side):
    """One cell outside the first and the last one: there the border still holds."""
    maps, boxes = [jnp.arange(1.0, 5.0).reshape(2, 2, 1)], jnp.asarray([[-1.5, 0, -0.5, 1], [1.5, 0, 2.5, 1]])
    if side:
        maps, boxes = [maps[0].swapaxes(0, 1)], boxes[:, jnp.asarray([1, 0, 3, 2])]
    pooled, _ = roi_align_adaptive(maps, boxes, jnp.asarray([0, 0]), strides=[1.0], size=1, aligned=False)
    assert pooled.ravel().tolist() == [2, 3]  # one sample each, at -1 and at 2, halfway between the other axis's two cells


def test_a_tall_map_whose_rois_need_every_sample_there_is(rng):
    maps = [jnp.asarray(rng.standard_normal((32, 8, 3)), jnp.float32)]
    boxes = np.asarray([[0, 0, 8, 32], [3, 0, 4, 32], [2, 0.7, 7, 31.9]], np.float32)  # in one group, of 12 x 4, 12 x 2 and 12 x 3 cells
    pooled, cut = roi_align_adaptive(maps, jnp.asarray(boxes), jnp.zeros(3, jnp.int32), strides=[1.0], size=3, aligned=True)
    assert_close(pooled, np.stack([oracle.roi_align(maps[0], box, 1.0, 3, None, True) for box in boxes]), atol=ATOL)
    assert cut == 0


def test_of_two_samples_a_bin_is_the_fixed_one(pyramid):
    boxes = jnp.asarray([[8.0, 8.0, 30.0, 31.0], [20.5, 40.5, 37.0, 62.0]])  # sides of 4 to 6 cells at stride 4, in three bins
    levels = jnp.asarray([0, 0])
    fixed = roi_align(pyramid, boxes, levels, strides=STRIDES, size=3, samples=2, aligned=True)
    assert_close(align(pyramid, boxes, levels)[0], fixed, atol=ATOL)


@pytest.mark.parametrize("aligned", [False, True])
def test_gradient_is_the_transpose(pyramid, aligned, rng):
    """<R x, g> = <x, R' g> for the linear map R, in float64."""
    levels = jnp.asarray(np.arange(len(ROIS)) % 3)
    with jax.enable_x64(True):
        maps = [jnp.asarray(np.float64(level)) for level in pyramid]
        boxes = jnp.asarray(np.float64(ROIS))
        pooled, pull = jax.vjp(lambda maps: align(maps, boxes, levels, aligned=aligned)[0], maps)
        weights = jnp.asarray(rng.standard_normal(pooled.shape))
        (back,) = pull(weights)
        found = sum(jnp.sum(level * gradient) for level, gradient in zip(maps, back, strict=True))
        np.testing.assert_allclose(found, jnp.sum(pooled * weights), rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_gradient_keeps_the_features_dtype(pyramid, dtype):
    maps, boxes, levels = [p.astype(dtype) for p in pyramid], jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32)
    with jax.enable_x64(True):  # where an array made without a dtype is float64
        gradient = jax.eval_shape(jax.grad(lambda maps: jnp.sum(align(maps, boxes, levels)[0])), maps)
    assert [g.dtype for g in gradient] == [dtype] * 3


def test_garbage_in_padding_changes_no_value_and_no_gradient(pyramid):
    def pool(maps, box):
        boxes = jnp.concatenate([jnp.asarray(ROIS[:3]), box[None]])
        return align(maps, boxes, jnp.zeros(4, jnp.int32))[0][:3]

    results = []
    for box in ([0, 0, 0, 0], [-1e6, 5e5, 1e6, -3.0], [1e9, 1e9, 1e9, 1e9]):
        pooled, pull = jax.vjp(lambda maps, box=box: pool(maps, jnp.asarray(box, jnp.float32)), pyramid)
        results.append((pooled, pull(jnp.ones_like(pooled))))
    assert_close(results[1], results[0], atol=1e-6)  # RoIs of another group are summed in another order
    assert_close(results[2], results[0], atol=1e-6)


@pytest.mark.parametrize("aligned", [False, True])
def test_levels_that_are_not_a_roi_s_own_are_not_read(pyramid, aligned):
    """Not even with a weight of 0, which would spread what is not finite."""
    for own in range(3):
        maps = [level if k == own else jnp.full_like(level, jnp.nan) for k, level in enumerate(pyramid)]
        pooled, _ = align(maps, jnp.asarray(ROIS), jnp.full(len(ROIS), own, jnp.int32), aligned=aligned)
        assert np.isfinite(pooled).all()


def test_bfloat16_features_are_summed_in_float32(pyramid):
    assert_sums_in_float32(lambda maps, boxes: align(maps, boxes, jnp.zeros(len(boxes), jnp.int32))[0], pyramid, ROIS)


def test_boxes_get_no_gradient(pyramid):
    gradient = jax.grad(lambda boxes: jnp.sum(align(pyramid, boxes, jnp.zeros(len(ROIS), jnp.int32))[0]))(jnp.asarray(ROIS))
    assert not gradient.any()


def test_rois_that_reach_too_far_are_counted(pyramid):
    boxes = jnp.asarray([[0.0, 0.0, 128.0, 96.0], [-200.0, 0.0, 128.0, 96.0], [0.0, -200.0, 10.0, 300.0]])
    _, cut = align(pyramid, boxes, jnp.zeros(3, jnp.int32))
    assert cut == 2


def test_how_far_a_roi_may_reach_does_not_depend_on_the_channels():
    boxes = jnp.asarray([[-4.0, 0.0, 8.0, 8.0], [-4.0, 0.0, 4.0, 8.0]])  # three samples a bin side are needed where two are
    _, cut = roi_align_adaptive([jnp.zeros((8, 8, 64))], boxes, jnp.zeros(2, jnp.int32), strides=[1.0], size=4, aligned=True)
    assert cut == 1


def test_transforms_agree(pyramid, rng):
    boxes = np.stack([ROIS, ROIS[::-1], ROIS[rng.permutation(len(ROIS))]])
    levels = np.tile(np.arange(len(ROIS), dtype=np.int32) % 3, (3, 1))
    assert_transforms_agree(lambda b, k: align(pyramid, b, k)[0], boxes, levels, atol=1e-6)


@pytest.mark.parametrize(("size", "strides"), [(0, STRIDES), (3, STRIDES[:2])])
def test_errors_name_what_is_wrong(pyramid, size, strides):
    with pytest.raises(ValueError) as error:
        roi_align_adaptive(pyramid, jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32), strides=strides, size=size, aligned=True)
    assert f"size={size}, 3 levels with {len(strides)} strides" in str(error.value)
