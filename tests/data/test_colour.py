import colorsys

import numpy as np
import pytest

from maskrcnn_jax.data import blur, jitter_colour
from tests.data.painted import painted

NOTHING = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def coloured(*pixels, dtype=np.uint8):
    return painted(0)._replace(image=np.array([pixels], dtype))


def jittered(example, **changes):
    return jitter_colour(example, **NOTHING | changes).image


def test_nothing_changes_nothing(rng):
    example = painted(0)._replace(image=rng.integers(0, 256, (60, 80, 3), np.uint8))
    assert np.array_equal(jittered(example), example.image)
    assert blur(example, 0.0) is example


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"brightness": 1.5}, [[150, 30, 0], [255, 255, 255]]),
        # grey of the pixels: 0.299 * 100 + 0.587 * 20 = 41.64 and 200; their mean is 120.82
        ({"contrast": 0.5}, [[110, 70, 60], [160, 160, 160]]),
        ({"contrast": 2.0}, [[79, 0, 0], [255, 255, 255]]),
        ({"saturation": 0.0}, [[42, 42, 42], [200, 200, 200]]),
        ({"saturation": 2.0}, [[158, 0, 0], [200, 200, 200]]),
    ],
)
def test_by_hand(changes, expected):
    assert jittered(coloured([100, 20, 0], [200, 200, 200]), **changes)[0].tolist() == expected


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.25, 1 / 3])
def test_a_turned_hue_is_that_of_the_standard_library(turn):
    pixels = [[255, 0, 0], [10, 200, 30], [90, 80, 250], [77, 77, 77]]
    for found, pixel in zip(jittered(coloured(*pixels), hue=turn)[0], pixels, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(np.array(pixel) / 255))
        assert np.abs(found - 255 * np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))).max() <= 0.51  # it is rounded


def test_turns_of_a_third_move_the_channels():
    example = painted(3)
    assert np.array_equal(jittered(example, hue=1 / 3), np.roll(example.image, 1, axis=2))


def test_floats_stay_floats_in_their_range():
    image = jittered(coloured([100.25, 20.0, 0.0], [200.0, 200.0, 255.0], dtype=np.float32), brightness=1.5)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], [[150.375, 30.0, 0.0], [255.0, 255.0, 255.0]], rtol=1e-6)  # shares of 255 are rounded


def test_sixteen_bits_and_other_channels_are_in_their_own_units():
    image = np.array([[[100], [300]]], np.uint16)
    assert jittered(painted(0)._replace(image=image), contrast=0.5, white=65535.0).tolist() == [[[150], [250]]]
    assert jittered(painted(0)._replace(image=image), brightness=1.5, white=400.0).tolist() == [[[150], [400]]]
    with pytest.raises(ValueError, match="saturation and hue are of RGB; the image has 1 channels"):
        jittered(painted(0)._replace(image=image), hue=0.1)


def test_a_blurred_point_is_a_gaussian():
    image = np.zeros((41, 41, 3), np.float32)
    image[20, 20] = 1
    blurred = blur(painted(0)._replace(image=image), 2.0).image[..., 0]
    square = (np.arange(41) - 20.0) ** 2
    gaussian = np.exp(-(square[:, None] + square) / (2 * 2.0**2))
    assert np.abs(blurred - gaussian / gaussian.sum()).max() < 1e-5  # OpenCV's kernel ends at four standard deviations
