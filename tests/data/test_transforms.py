import numpy as np
import pytest

from maskrcnn_jax.data import (
    ShapesSource,
    blur,
    crop,
    drop_vanished,
    flip_horizontal,
    flip_image,
    flip_vertical,
    mosaic,
    pad,
    paste,
    resize,
    resize_masks,
    rotate,
    tight_box,
)
from tests.data.painted import assert_masks_are_where_the_image_shows_them, assert_whole, drawn, of_masks, painted


@pytest.fixture(scope="module")
def example():
    return ShapesSource(0, 3)[2]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_flip_twice_is_the_identity(example):
    assert not equal(flip_horizontal(example), example)
    assert equal(flip_horizontal(flip_horizontal(example)), example)


def test_flip_moves_boxes_with_their_masks(example):
    flipped = flip_horizontal(example)
    assert [tight_box(mask) for mask in flipped.masks] == [tuple(box) for box in flipped.boxes.tolist()]


@pytest.mark.parametrize("size", [(320, 320), (100, 160), (213, 97)])
def test_resized_boxes_bound_resized_masks_within_a_pixel(example, size):
    resized = resize(example, size, "uint8")
    assert resized.image.shape == (*size, 3)
    assert resized.masks.shape == (len(example.labels), *size)
    assert resized.boxes.dtype == np.float32
    boxes = np.array([tight_box(mask) for mask in resized.masks])
    assert np.abs(boxes - resized.boxes).max() <= 1


@pytest.mark.parametrize("size", [(320, 320), (80, 80), (107, 211)])
def test_resized_masks_keep_centre_and_area(size):
    y, x = np.mgrid[:160, :160]
    disk = (((x - 70.5) ** 2 + (y - 90.5) ** 2) < 40**2).astype(np.uint8)
    resized = resize_masks(disk[None], size)[0]
    rows, columns = np.nonzero(resized)
    assert abs((columns.mean() + 0.5) * 160 / size[1] - 71) < 0.1
    assert abs((rows.mean() + 0.5) * 160 / size[0] - 91) < 0.1
    assert abs(resized.mean() / disk.mean() - 1) < 0.02


def test_a_mask_follows_the_image(example):
    """An image that is the mask itself: after resizing, the mask is where the image is at least half bright."""
    mask = example.masks[0]
    drawn = example._replace(image=np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))
    resized = resize(drawn, (233, 140), "uint8")
    assert np.array_equal(resized.masks[0], resized.image[..., 0] >= 128)


def test_resize_to_the_same_size_changes_nothing(example):
    assert resize(example, (160, 160), "uint8") is example


def test_no_objects_keep_their_shapes(example):
    empty = drop_vanished(example._replace(masks=example.masks * np.uint8(0)))
    small = flip_horizontal(resize(empty, (80, 90), "uint8"))
    assert small.masks.shape == (0, 80, 90)
    assert small.boxes.shape == (0, 4)
    assert small.labels.shape == small.crowd.shape == (0,)


@pytest.mark.parametrize("window", [(0, 0, 80, 60), (10, 5, 50, 45), (30, 20, 31, 21), (0, 30, 80, 31)])
def test_a_crop_is_what_lies_in_the_window(window):
    whole = painted(1)
    x0, y0, x1, y1 = window
    part = crop(whole, window)
    assert np.array_equal(part.image, whole.image[y0:y1, x0:x1])
    assert_masks_are_where_the_image_shows_them(part)
    assert_whole(part)


def test_a_crop_by_hand():
    masks = np.zeros((3, 4, 5), np.uint8)
    masks[0, 0:2, 0:3] = 1  # its right lower part remains
    masks[1, 3, 4] = 1  # outside
    masks[2, 1:3, 2:5] = 1
    part = crop(of_masks(masks, [1, 2, 3], crowds=True), (2, 1, 5, 3))
    assert part.boxes.tolist() == [[0, 0, 1, 1], [0, 0, 3, 2]]
    assert part.labels.tolist() == [1, 3]
    assert part.crowd.tolist() == [True, False]
    assert part.masks.tolist() == [[[1, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]]


@pytest.mark.parametrize("degrees", [-170.0, -30.0, 0.5, 45.0, 90.0, 180.0])
def test_a_rotated_mask_is_that_of_the_rotated_image(degrees):
    for seed in range(3):
        turned = rotate(painted(seed), degrees, (0, 0, 0))
        assert_masks_are_where_the_image_shows_them(turned)
        assert_whole(turned)


def test_rotating_by_a_quarter_is_exact_and_counter_clockwise():
    square = painted(3, (61, 61))
    turned = rotate(square, 90.0, (0, 0, 0))
    assert np.array_equal(turned.image, np.rot90(square.image))
    assert np.array_equal(drawn(turned), np.rot90(drawn(square)))


def test_rotating_by_nothing_and_by_half_a_turn_twice_are_the_identity():
    example = painted(4)
    assert rotate(example, 0.0, (0, 0, 0)) is example
    assert equal(rotate(rotate(example, 180.0, (1, 2, 3)), 180.0, (1, 2, 3)), example)


def test_corners_that_open_are_filled_and_objects_that_leave_are_left_out():
    masks = np.zeros((2, 20, 40), np.uint8)
    masks[0, 8:12, 18:22] = 1
    masks[1, 2:4, 36:38] = 1  # leaves the image by a quarter turn
    turned = rotate(of_masks(masks, [1, 2]), 90.0, (7, 8, 9))
    assert turned.labels.tolist() == [1]
    assert (turned.image[:, :5] == [7, 8, 9]).all()
    assert turned.boxes.tolist() == [[18, 8, 22, 12]]


@pytest.mark.parametrize("channels", [1, 4, 5, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_of_any_channels_move_as_those_of_three(channels, dtype):
    example = painted(4)
    plane, fill = example.image[..., 0].astype(dtype), tuple(range(10, 10 + channels))
    many = example._replace(image=np.repeat(plane[..., None], channels, axis=2))
    moves = [
        lambda e, fill: rotate(e, 30.0, fill),
        lambda e, fill: pad(e, (64, 96), fill),
        lambda e, fill: flip_vertical(flip_horizontal(e)),
        lambda e, fill: crop(e, (3, 5, 50, 40)),
        lambda e, fill: blur(e, 1.5),
        lambda e, fill: paste(e, e, np.ones(5, np.bool_), (7, 9)),
        lambda e, fill: mosaic([e, e, e, e]),
    ]
    for move in moves:
        moved = move(many, fill)
        assert moved.image.dtype == dtype
        assert moved.image.shape[2] == channels
        for i in range(channels):
            alone = move(example._replace(image=np.repeat(plane[..., None], 3, axis=2)), fill[i : i + 1] * 3)
            assert np.array_equal(moved.image[..., i], alone.image[..., 0])
        assert np.array_equal(moved.masks, alone.masks)


def test_padding_keeps_the_example_in_its_corner():
    example = painted(5)
    padded = pad(example, (64, 96), (7, 8, 9))
    assert padded.image.shape == (64, 96, 3)
    assert equal(crop(padded, (0, 0, 80, 60)), example)
    assert (padded.image[60:] == [7, 8, 9]).all()
    assert (padded.image[:, 80:] == [7, 8, 9]).all()
    assert_whole(padded)


@pytest.mark.parametrize("flip", [flip_horizontal, flip_vertical])
def test_both_flips_twice_are_the_identity_and_move_all_alike(flip):
    example = painted(6, crowds=True)
    flipped = flip(example)
    assert not equal(flipped, example)
    assert equal(flip(flipped), example)
    assert_masks_are_where_the_image_shows_them(flipped)
    assert_whole(flipped)


def test_a_vertical_flip_by_hand():
    masks = np.zeros((1, 3, 4), np.uint8)
    masks[0, 0, 1:3] = 1
    assert flip_vertical(of_masks(masks, [2])).boxes.tolist() == [[1, 2, 3, 3]]


def test_both_flips_are_half_a_turn():
    example = painted(7)
    both = flip_vertical(flip_horizontal(example))
    assert equal(both, rotate(example, 180.0, (0, 0, 0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 200])
def test_images_of_any_channels_are_flipped(channels, dtype, rng):
    image = rng.integers(0, 256, (6, 9, channels)).astype(dtype)
    for axis, expected in ((0, image[::-1]), (1, image[:, ::-1])):
        found = flip_image(image, axis)
        assert found.flags.c_contiguous
        assert found.dtype == dtype
        assert np.array_equal(found, expected)
