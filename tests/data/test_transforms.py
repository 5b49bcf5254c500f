import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import ShapesSource, drop_vanished, flip_horizontal, flip_image, resize, resize_masks, tight_box, train_transform

INPUT = InputConfig(min_side=160, max_side=320, canvases=((160, 160),))


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


def test_train_transform_flips_as_often_as_asked(example):
    never, always = DataConfig(flip=0), DataConfig(flip=1)
    for seed in range(5):
        assert equal(train_transform(example, np.random.default_rng(seed), INPUT, never), example)
        assert equal(train_transform(example, np.random.default_rng(seed), INPUT, always), flip_horizontal(example))


def test_train_transform_draws_from_all_short_sides(example):
    config = DataConfig(train_min_sides=(64, 96))
    sides = {train_transform(example, np.random.default_rng(seed), INPUT, config).image.shape[0] for seed in range(20)}
    assert sides == {64, 96}


def test_objects_that_vanish_are_left_out(example):
    dot = np.zeros_like(example.masks[:1])
    dot[0, 80, 80] = 1
    with_dot = example._replace(
        masks=np.concatenate([dot, example.masks]),
        boxes=np.concatenate([np.float32([[80, 80, 81, 81]]), example.boxes]),
        labels=np.concatenate([np.int32([1]), example.labels]),
        crowd=np.concatenate([[False], example.crowd]),
    )
    small = train_transform(with_dot, np.random.default_rng(0), INPUT, DataConfig(train_min_sides=(40,)))
    assert small.labels.tolist() == example.labels.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 200])
def test_images_of_any_channels_are_flipped(channels, dtype, rng):
    image = rng.integers(0, 256, (6, 9, channels)).astype(dtype)
    for axis, expected in ((0, image[::-1]), (1, image[:, ::-1])):
        found = flip_image(image, axis)
        assert found.flags.c_contiguous
        assert found.dtype == dtype
        assert np.array_equal(found, expected)
