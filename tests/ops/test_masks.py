import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import mask_targets, mask_targets_adaptive, paste_masks
from tests.ops.checks import assert_close, assert_gradient, assert_transforms_agree
from tests.oracles import masks as oracle
from tests.oracles.roi_align import roi_align

IMAGE = (24, 30)  # inside a larger canvas; RoIAlign's border is that of the image
# Sums of at most 36 products of float32 weights in [0, 1].
ATOL = 1e-5


def blobs(rng, count, height, width):
    """Random bitmaps that touch their box's sides."""
    bitmaps = (rng.random((count, height, width)) < 0.6).astype(np.uint8)
    bitmaps[:, 0, 0] = bitmaps[:, -1, -1] = 1
    return bitmaps


def on_image(bitmap, frame):
    x0, y0, x1, y1 = map(int, frame)
    image = np.zeros(IMAGE, np.uint8)
    image[y0:y1, x0:x1] = bitmap
    return image


# The grid's cells are pixels; the second frame ends at the image's corner, the third starts at its origin.
FRAMES = np.asarray([[7, 5, 17, 13], [20, 16, 30, 24], [0, 0, 10, 8]], np.float32)
ROIS = np.asarray(
    [
        [6.3, 4.2, 18.4, 12.9],
        [7, 5, 17, 13],
        [9.2, 6.1, 9.4, 6.3],  # within one pixel
        [12, 9, 12, 9],  # a point
        [0, 0, 30, 24],
        [-3, -4, 12, 9],  # across the border: zero farther than one pixel out
        [25, 20, 33, 28],
        [29.8, 23.9, 30, 24],
    ],
    np.float32,
)


@functools.partial(jax.jit, static_argnames=("size", "samples", "aligned", "image"))
def targets(masks, frames, boxes, gt_indices, *, size=5, samples=2, aligned=False, image=IMAGE):
    return mask_targets(
        masks, frames, boxes, gt_indices, jnp.asarray(image, frames.dtype), size=size, samples=samples, aligned=aligned
    )  # fmt: skip


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("size", "samples"), [(5, 2), (4, 1), (2, 3)])
def test_targets_equal_roi_align_of_the_bitmap_where_cells_are_pixels(rng, aligned, size, samples):
    bitmaps = blobs(rng, 3, 8, 10)
    boxes, gt = np.tile(ROIS, (3, 1)), np.repeat(np.arange(3, dtype=np.int32), len(ROIS))
    found = targets(
        jnp.asarray(bitmaps * 255, jnp.uint8), jnp.asarray(FRAMES), jnp.asarray(boxes), jnp.asarray(gt),
        size=size, samples=samples, aligned=aligned,
    )  # fmt: skip
    images = [on_image(bitmap, frame)[:, :, None] for bitmap, frame in zip(bitmaps, FRAMES, strict=True)]
    expected = [roi_align(images[g], box, 1.0, size, samples, aligned)[:, :, 0] for box, g in zip(boxes, gt, strict=True)]
    assert_close(found, np.stack(expected), atol=ATOL)


@pytest.mark.parametrize("aligned", [False, True])
def test_adaptive_targets_equal_adaptive_roi_align_of_the_bitmap(rng, aligned):
    bitmaps = blobs(rng, 3, 8, 10)
    boxes, gt = np.tile(ROIS, (3, 1)), np.repeat(np.arange(3, dtype=np.int32), len(ROIS))
    find = jax.jit(functools.partial(mask_targets_adaptive, size=5, max_samples=8, aligned=aligned))
    arrays = jnp.asarray(bitmaps * 255, jnp.uint8), jnp.asarray(FRAMES), jnp.asarray(boxes), jnp.asarray(gt)
    images = [on_image(bitmap, frame)[:, :, None] for bitmap, frame in zip(bitmaps, FRAMES, strict=True)]
    expected = [roi_align(images[g], box, 1.0, 5, None, aligned)[:, :, 0] for box, g in zip(boxes, gt, strict=True)]
    assert_close(find(*arrays, jnp.asarray(IMAGE, jnp.float32)), np.stack(expected), atol=ATOL)


def test_adaptive_targets_keep_dtype_and_full_precision_on_accelerators():
    arrays = jnp.zeros((1, 4, 4), jnp.uint8), jnp.zeros((1, 4)), jnp.zeros((2, 4)), jnp.asarray([0, 0]), jnp.asarray([24.0, 30.0])
    with jax.enable_x64(True):  # where an array made without a dtype is float64
        program = jax.make_jaxpr(functools.partial(mask_targets_adaptive, size=3, max_samples=4, aligned=True))(*arrays)
    assert program.out_avals[0].dtype == jnp.float32
    products = [line for line in str(program).splitlines() if "dot_general" in line]
    assert len(products) == 4
    assert str(program).count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 4


def test_adaptive_targets_of_padding_read_zero():
    masks, frames = jnp.full((1, 4, 4), 255, jnp.uint8), jnp.zeros((1, 4))
    boxes, gt = jnp.asarray([[0.0, 0.0, 9.0, 9.0], [1e6, -1e6, -1e6, 1e6]]), jnp.asarray([0, 0])
    found = mask_targets_adaptive(masks, frames, boxes, gt, jnp.asarray([24.0, 30.0]), size=3, max_samples=4, aligned=True)
    assert not found.any()


def test_targets_from_the_whole_canvas_are_the_same(rng):
    bitmaps = blobs(rng, 3, 8, 10)
    canvases = np.zeros((3, 32, 32), np.uint8)
    canvases[:, : IMAGE[0], : IMAGE[1]] = [on_image(bitmap, frame) for bitmap, frame in zip(bitmaps, FRAMES, strict=True)]
    gt = jnp.arange(len(ROIS)) % 3
    whole = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 32.0, 32.0]), (3, 4))
    assert_close(
        targets(jnp.asarray(canvases * 255, jnp.uint8), whole, jnp.asarray(ROIS), gt),
        targets(jnp.asarray(bitmaps * 255, jnp.uint8), jnp.asarray(FRAMES), jnp.asarray(ROIS), gt),
        atol=ATOL,
    )


def test_targets_by_hand():
    masks = jnp.asarray([[[255, 0], [255, 255]]], jnp.uint8)
    frame, gt = jnp.asarray([[2.0, 2.0, 6.0, 6.0]]), jnp.asarray([0])  # cells of two pixels
    on = functools.partial(targets, masks, frame, gt_indices=gt, samples=1, image=(8, 8))
    assert_close(
        on(jnp.asarray([[2.0, 2.0, 6.0, 6.0]]), size=2, aligned=True), np.asarray([[[1, 0], [1, 1]]]), atol=1e-6
    )  # a division by 255
    for box, aligned, expected in (
        ([3, 3, 5, 5], True, 0.75),  # one sample at the frame's centre reads all four cells
        ([2, 1, 4, 3], True, 0.5),  # at the frame's upper edge, over the left column's centre: half of nothing and half of a one
        ([2, 4, 4, 5], False, 1.0),  # unaligned samples lie half a pixel farther: at x = 3.5, y = 5, in the lower row
        ([2, 2, 4, 3], False, 0.75),  # at x = 3.5, y = 3 the upper row weighs its cells 0.75 and 0.25
    ):
        found = on(jnp.asarray([box], jnp.float32), size=1, aligned=aligned)
        assert_close(found, np.full((1, 1, 1), expected), atol=1e-6)


@pytest.mark.parametrize(
    ("box", "expected"), [([-2, -2, 0, 0], 1), ([-2.01, -2, 0, 0], 0), ([29, 23, 31, 25], 1), ([29, 23, 31.01, 25], 0)]
)
def test_targets_repeat_the_border_for_one_pixel(box, expected):
    """One sample in the RoI's middle: just one pixel outside the image, or a little farther."""
    full, frame = jnp.full((1, *IMAGE), 255, jnp.uint8), jnp.asarray([[0.0, 0.0, 30.0, 24.0]])
    found = targets(full, frame, jnp.asarray([box], jnp.float32), jnp.asarray([0]), size=1, samples=1)
    assert_close(found, np.full((1, 1, 1), expected), atol=1e-6)  # a division by 255


def test_targets_of_objects_resampled_by_area(rng):
    """Bound for objects larger than the grid.

    Sample points farther than a cell and a pixel from the object's border read 0 or 255 on both sides, so those targets are
    equal. Near a border, the image's ramp is one pixel long and the grid's up to two cells: a point is off by less than a
    half at a straight border, a target averages several points.
    """
    height, width, cells, size = 90, 120, 40, 14
    y, x = np.mgrid[0:height, 0:width]
    disc = (((y + 0.5 - 45) / 45) ** 2 + ((x + 0.5 - 60) / 60) ** 2 < 1).astype(np.uint8)
    image = np.zeros((100, 140), np.uint8)
    image[6 : 6 + height, 9 : 9 + width] = disc
    boxes = np.asarray([[9, 6, 129, 96], [20, 3, 110, 80]], np.float32)
    found = targets(
        jnp.asarray(oracle.resample_by_area(disc, cells)[None]), jnp.asarray([[9.0, 6.0, 129.0, 96.0]]), jnp.asarray(boxes),
        jnp.asarray([0, 0]), size=size, image=image.shape,
    )  # fmt: skip
    expected = np.stack([roi_align(image[:, :, None], box, 1.0, size, 2, False)[:, :, 0] for box in boxes])
    error = np.abs(np.asarray(found) - expected)
    assert error.max() < 0.5
    assert error.mean() < 0.01
    ones, zeros = _far_from_border(image, boxes, size, reach=4)
    assert ones.sum() > 50
    assert zeros.sum() > 5
    assert_close(np.asarray(found)[ones], np.ones(ones.sum()), atol=ATOL)
    assert_close(np.asarray(found)[zeros], np.zeros(zeros.sum()), atol=ATOL)


def _far_from_border(image, boxes, size, reach):
    """Targets whose whole bin, widened by `reach` pixels, is inside the object, and those where it is outside."""
    ones, zeros = np.zeros((len(boxes), size, size), bool), np.zeros((len(boxes), size, size), bool)
    for r, (x0, y0, x1, y1) in enumerate(boxes.astype(float)):
        for i in range(size):
            for j in range(size):
                top, left = y0 + (y1 - y0) * i / size - reach, x0 + (x1 - x0) * j / size - reach
                bottom, right = y0 + (y1 - y0) * (i + 1) / size + reach, x0 + (x1 - x0) * (j + 1) / size + reach
                part = image[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1]
                ones[r, i, j], zeros[r, i, j] = part.min() == 1, part.max() == 0
    return ones, zeros


def test_targets_flip_with_the_mask(rng):
    """A property: with aligned sampling, mirroring mask, frame and RoI mirrors the target."""
    bitmaps = jnp.asarray(blobs(rng, 1, 8, 10) * 255, jnp.uint8)
    width = IMAGE[1]

    def mirrored(boxes):
        return jnp.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)

    frame, rois, gt = jnp.asarray(FRAMES[:1]), jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32)
    assert_close(
        targets(bitmaps[:, :, ::-1], mirrored(frame), mirrored(rois), gt, aligned=True)[:, :, ::-1],
        targets(bitmaps, frame, rois, gt, aligned=True),
        atol=ATOL,
    )


def test_padding_of_the_ground_truth_reads_zero_and_changes_nothing(rng):
    bitmaps = blobs(rng, 3, 8, 10) * 255
    masks, frames = jnp.asarray(bitmaps, jnp.uint8), jnp.asarray(FRAMES)
    gt = jnp.asarray([0, 0, 0, 0, 1, 2, 2, 2])
    for garbage in ([0, 0, 0, 0], [12, 9, 12, 9], [1e30, 9, 1e30, 5], [1e30, -1e30, 5, 5]):
        found = targets(masks, frames.at[1:].set(jnp.asarray(garbage, jnp.float32)), jnp.asarray(ROIS), gt)
        assert_close(found[:4], targets(masks, frames, jnp.asarray(ROIS), gt)[:4])
        assert bool(jnp.all((found >= 0) & (found <= 1)))
        if garbage[0] == garbage[2]:
            assert_close(found[4:], jnp.zeros_like(found[4:]))


def test_garbage_rois_change_no_other_target_and_stay_finite(rng):
    masks, frames = jnp.asarray(blobs(rng, 3, 8, 10) * 255, jnp.uint8), jnp.asarray(FRAMES)
    gt, boxes = jnp.arange(len(ROIS)) % 3, jnp.asarray(ROIS)
    garbage = boxes.at[4:].set(jnp.asarray([1e30, 7, -1e30, 3e20]))
    found = targets(masks, frames, garbage, gt.at[4:].set(jnp.asarray([99, -7, 2, 0])))
    assert_close(found[:4], targets(masks, frames, boxes, gt)[:4])
    assert bool(jnp.all((found >= 0) & (found <= 1)))


@pytest.mark.slow
def test_targets_transforms_agree(rng):
    masks = (blobs(rng, 6, 8, 10) * 255).reshape(2, 3, 8, 10)
    gt = rng.integers(0, 3, (2, len(ROIS))).astype(np.int32)
    assert_transforms_agree(targets.__wrapped__, masks, np.stack([FRAMES, FRAMES + 1]), np.stack([ROIS, ROIS - 1]), gt, atol=ATOL)


@pytest.mark.parametrize("aligned", [False, True])
def test_gradient_by_the_boxes(rng, aligned):
    masks = blobs(rng, 3, 8, 10) * 255
    gt = np.arange(4, dtype=np.int32) % 3
    boxes = np.asarray([[6.3, 4.2, 18.4, 12.9], [22.3, 17.2, 29.4, 23.9], [1.2, 0.9, 9.9, 6.6], [3.2, 3.9, 14.9, 9.6]], np.float32)
    assert_gradient(functools.partial(targets, aligned=aligned, image=(40, 40)), masks, FRAMES, boxes, gt, wrt=(1, 2))


PASTE_FRAMES = np.asarray(
    [
        [3.2, 4.7, 17.9, 15.1],  # inside
        [-6.3, -3.8, 9.4, 30.2],  # larger than the image in one direction
        [14.6, 12.2, 26.6, 23.8],  # across the lower right corner
        [5.2, 6.3, 5.9, 6.8],  # within one pixel
        [40, 40, 50, 52],  # outside
        [4, 3, 12, 11],  # integers
        [-9.5, -8.5, -2.5, -0.5],  # outside, up and left
    ],
    np.float32,
)
HEIGHT, WIDTH = 18, 22
PASTED = {"continuous": oracle.paste_continuous, "expanded": oracle.paste_expanded}


@functools.partial(jax.jit, static_argnames=("kind", "height", "width"))
def paste(masks, frames, *, kind, height=HEIGHT, width=WIDTH):
    return paste_masks(masks, frames, height=height, width=width, kind=kind)


@pytest.mark.parametrize("cells", [5, 1])
@pytest.mark.parametrize("kind", PASTED)
def test_paste_equals_the_oracle(rng, kind, cells):
    masks = rng.random((len(PASTE_FRAMES), cells, cells)).astype(np.float32)
    pasted = paste(jnp.asarray(masks), jnp.asarray(PASTE_FRAMES), kind=kind)
    expected = [PASTED[kind](mask, frame, HEIGHT, WIDTH) for mask, frame in zip(masks, PASTE_FRAMES, strict=True)]
    # The position in a frame of 0.5 pixels and 5 cells is 10 times the pixel's: roundings of 1e-6 each, times slopes of 1.
    assert_close(pasted, np.stack(expected), atol=2e-5)


def test_paste_by_hand():
    mask, frame = jnp.asarray([[[1.0, 0.0], [0.5, 1.0]]]), jnp.asarray([[1.0, 1.0, 3.0, 3.0]])
    assert paste(mask, frame, kind="continuous", height=4, width=4).tolist() == [[[0, 0, 0, 0], [0, 1, 0, 0], [0, 0.5, 1, 0], [0, 0, 0, 0]]]
    # 4 cells with the ring, in pixels 0 ... 4 (a box of 4 pixels with both ends): cell = 0.8 (pixel + 0.5) - 0.5.
    line = paste(jnp.ones((1, 2, 2)), frame, kind="expanded", height=6, width=6)[0, 2]
    assert_close(line, np.asarray([0, 0.7, 1, 0.7, 0, 0]), atol=1e-6)  # one rounding


@pytest.mark.parametrize("kind", PASTED)
def test_paste_keeps_full_precision_on_accelerators(kind):
    program = jax.make_jaxpr(functools.partial(paste.__wrapped__, kind=kind))(jnp.zeros((1, 3, 3)), jnp.zeros((1, 4)))
    products = [equation for equation in program.eqns if equation.primitive.name == "dot_general"]
    assert len(products) == 2
    assert {p for product in products for p in product.params["precision"]} == {jax.lax.Precision.HIGHEST}


@pytest.mark.parametrize("kind", PASTED)
def test_paste_transposes(rng, kind):
    """A property: rows and columns are treated alike."""
    masks, frames = jnp.asarray(rng.random((7, 5, 5)), jnp.float32), jnp.asarray(PASTE_FRAMES)
    turned = paste(masks.swapaxes(1, 2), frames[:, jnp.asarray([1, 0, 3, 2])], kind=kind, height=WIDTH, width=HEIGHT)
    assert_close(turned.swapaxes(1, 2), paste(masks, frames, kind=kind), atol=1e-6)  # the sums run in another order


@pytest.mark.parametrize("kind", PASTED)
def test_garbage_frames_change_no_other_mask_and_stay_finite(rng, kind):
    masks, frames = jnp.asarray(rng.random((7, 5, 5)), jnp.float32), jnp.asarray(PASTE_FRAMES)
    garbage = frames.at[3:].set(jnp.asarray([[0, 0, 0, 0], [8, 8, 2, 2], [1e30, -1e30, -1e30, 1e30], [5, 5, 5, 5]]))
    pasted = paste(masks, garbage, kind=kind)
    assert_close(pasted[:3], paste(masks, frames, kind=kind)[:3])
    assert bool(jnp.all((pasted >= 0) & (pasted <= 1 + ATOL)))
    gradient = jax.grad(lambda m: jnp.sum(paste(m, garbage, kind=kind)[:3] ** 2))(masks)
    assert_close(gradient[3:], jnp.zeros_like(gradient[3:]))


@pytest.mark.parametrize("kind", PASTED)
def test_paste_transforms_agree(rng, kind):
    masks = rng.random((2, 7, 5, 5)).astype(np.float32)
    assert_transforms_agree(functools.partial(paste.__wrapped__, kind=kind), masks, np.stack([PASTE_FRAMES, PASTE_FRAMES + 1]), atol=ATOL)


@pytest.mark.parametrize("kind", PASTED)
def test_paste_gradient(rng, kind):
    assert_gradient(functools.partial(paste, kind=kind), rng.random((7, 5, 5)).astype(np.float32), PASTE_FRAMES)
