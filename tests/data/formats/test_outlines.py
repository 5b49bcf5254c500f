import math

import numpy as np
import pytest

from maskrcnn_jax.data import DataError
from maskrcnn_jax.data.coco_masks import bitmap
from maskrcnn_jax.data.formats.outlines import ellipse, finite_numbers, rectangle
from tests.data.formats.by_hand import box, disc
from tests.data.formats.written import iou

# An outline drawn to a fifth of a pixel puts pixels within that distance on either side: at most 0.2 * 2 pi r of pi r^2, and half
# of that as they fall to one side or the other.
BOUND = {3: 0.9, 10: 0.97, 60: 0.99, 200: 0.997}


@pytest.mark.parametrize("radius", BOUND)
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.3, 0.6)])
def test_a_circle_is_the_pixels_whose_centre_it_holds(radius, centre):
    side = 2 * radius + 6
    x, y = (radius + 2 + part for part in centre)
    drawn = bitmap([ellipse(x, y, radius, radius)], side, side)
    assert iou(drawn, disc(x, y, radius, radius, shape=(side, side))) >= BOUND[radius]


@pytest.mark.parametrize("angle", [0.0, 0.5, math.pi / 2, -2.0])
def test_an_ellipse_turns_from_x_to_y(angle):
    drawn = bitmap([ellipse(50, 60, 40, 15, angle)], 110, 120)
    assert iou(drawn, disc(50, 60, 40, 15, angle, (110, 120))) >= 0.98


@pytest.mark.parametrize("radius", [0.5, 3, 17, 400, 4900])
def test_a_round_outline_is_within_a_twentieth_of_a_pixel(radius):
    points = np.reshape(ellipse(0, 0, radius, radius), (-1, 2))
    assert np.abs(np.hypot(*points.T) - radius).max() < 1e-3  # corners lie on it
    middles = (points + np.roll(points, 1, axis=0)) / 2
    assert radius - np.hypot(*middles.T).min() < 0.051
    assert len(points) <= 720


def test_a_point_has_no_extent():
    assert set(ellipse(3, 4, 0, 0)) == {3, 4}


def test_a_rectangle_covers_its_pixels():
    assert np.array_equal(bitmap([rectangle(4, 5, 14, 9)], 20, 30), box(4, 5, 14, 9))
    assert np.array_equal(bitmap([rectangle(14, 9, 4, 5)], 20, 30), box(4, 5, 14, 9))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e13, 10**400, "3", None, True, [1]])
def test_what_is_no_finite_number_is_an_error(value):
    with pytest.raises(DataError) as error:
        finite_numbers([1, value], "via.json: a.png, region 3")
    assert "via.json: a.png, region 3: " in str(error.value)
    assert "correct them, or remove the shape" in str(error.value)
