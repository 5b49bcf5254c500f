import numpy as np
import pytest

from maskrcnn_jax.structs import Category, Example
from maskrcnn_jax.visualize import draw_example
from maskrcnn_jax.visualize.rendering import as_rgb


def test_rgb_bytes_are_the_same_array(rng):
    image = rng.integers(0, 256, (4, 6, 3), np.uint8)
    assert as_rgb(image) is image


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (4, [0, 1, 2]), (7, [0, 1, 2])])
def test_of_other_channels_three_or_one_are_shown(channels, shown, rng):
    image = rng.integers(0, 256, (4, 6, channels), np.uint8)
    assert np.array_equal(as_rgb(image), image[..., shown])


def test_sixteen_bits_are_stretched_channel_by_channel():
    """20 x 50 pixels: one in a thousand at either end may be clipped."""
    ramp = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    image = np.stack([ramp + 300, 4 * ramp, np.full_like(ramp, 7)], axis=2)
    found = as_rgb(image)
    share = np.clip((np.arange(1000) - 0.999) / (998.001 - 0.999), 0, 1)  # percentiles 0.1 and 99.9 of 0 ... 999
    assert np.array_equal(found[..., 0].ravel(), np.round(255 * share))
    assert np.array_equal(found[..., 1], found[..., 0])
    assert not found[..., 2].any()


def test_a_hot_pixel_takes_no_contrast(rng):
    image = rng.integers(100, 201, (60, 60, 1), np.uint16)
    image[0, 0] = 65535
    assert as_rgb(image).std() > 60  # of an even spread over 0 ... 255 it is 74


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (5, np.uint16)])
def test_objects_are_drawn_on_them(channels, dtype, rng):
    mask = np.zeros((1, 40, 60), np.uint8)
    mask[0, 10:30, 20:50] = 1
    image = rng.integers(0, 200, (40, 60, channels)).astype(dtype)
    boxes, labels, crowd = np.array([[20, 10, 50, 30]], np.float32), np.array([1], np.int32), np.array([False])
    example = Example(image, 1, mask, boxes, labels, crowd)
    picture = draw_example(example, (Category(1, "cell"),))
    bare = draw_example(example._replace(masks=mask[:0], boxes=boxes[:0], labels=labels[:0], crowd=crowd[:0]), ())
    assert picture.shape == bare.shape
    assert picture.dtype == np.uint8
    changed = (picture != bare).any(axis=2)
    factor = picture.shape[0] // 40
    assert changed[15 * factor : 25 * factor, 25 * factor : 45 * factor].all()
    assert not changed[35 * factor :].any()
