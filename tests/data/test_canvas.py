import numpy as np
import pytest

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import DataError, canvas_for, resize_image, resized_size


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((300, 1000), (400, 1333)), ((800, 1333), (800, 1333)), ((1, 5000), (1, 1333))],
)
def test_resized_size_by_hand(size, expected):
    assert resized_size(size, 800, 1333, "uint8") == expected


def test_resized_size_never_exceeds_either_bound(rng):
    for height, width in rng.integers(1, 5000, (500, 2)).tolist():
        resized = resized_size((height, width), 800, 1333, "uint8")
        assert min(resized) <= 800
        assert max(resized) <= 1333
        assert min(resized) >= 1


def test_fixed_takes_the_smallest_area_that_holds_the_image():
    config = InputConfig(min_side=64, max_side=128, canvases=((128, 128), (64, 128), (128, 64)))
    assert canvas_for((64, 100), config) == (64, 128)
    assert canvas_for((100, 64), config) == (128, 64)
    assert canvas_for((65, 65), config) == (128, 128)


def test_an_image_that_fits_no_canvas_is_an_error_with_the_remedy():
    with pytest.raises(DataError) as error:
        canvas_for((900, 900), InputConfig())
    assert "900 x 900" in str(error.value)
    assert "model.input.canvases" in str(error.value)
    assert "lower model.input.min_side" in str(error.value)


def test_multiple_rounds_each_side_up():
    config = InputConfig(canvas="multiple", multiple=32)
    assert canvas_for((800, 1067), config) == (800, 1088)
    assert canvas_for((1, 33), config) == (32, 64)


def test_resize_image_keeps_a_horizontal_ramp_at_half_pixel_centres():
    ramp = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], (8, 16, 3))
    half = resize_image(np.ascontiguousarray(ramp), (4, 8), "uint8")
    assert half[2, :, 0].tolist() == [5 + 20 * i for i in range(8)]


def test_resize_image_to_its_own_size_is_the_same_array():
    image = np.zeros((5, 7, 3), np.uint8)
    assert resize_image(image, (5, 7), "uint8") is image
