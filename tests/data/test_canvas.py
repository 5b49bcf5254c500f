from pathlib import Path

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


GOLDEN = Path(__file__).parent.parent / "golden" / "ops_single.npz"


@pytest.mark.parametrize(
    ("case", "sides"), [("up_min128_max300", (128, 300)), ("down_min40_max300", (40, 300)), ("cap_min128_max150", (128, 150))]
)
@pytest.mark.parametrize(("system", "kind"), [("torchvision", "float"), ("detectron2", "pillow")])
def test_resizes_as_the_references(system, kind, case, sides):
    golden = np.load(GOLDEN)
    image, expected = golden["resize/image"], golden[f"resize/{system}_{case}"]
    size = resized_size(image.shape[:2], *sides, kind)
    found = resize_image(image, size, kind)
    if kind == "pillow":
        np.testing.assert_array_equal(found, expected)
        return
    assert size == tuple(golden[f"resize/torchvision_{case.split('_')[0]}_hw"][0])
    mean, std = (np.array(values) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normalised = (found / 255 - mean) / std
    # Torchvision normalises first: the same but for a rounding of values up to 2.6.
    np.testing.assert_allclose(normalised, expected[0, :, : size[0], : size[1]].transpose(1, 2, 0), rtol=0, atol=2e-6)


def test_sizes_of_the_references_by_hand():
    assert resized_size((333, 500), 800, 1333, "float") == (800, 1201)  # 1201.2
    assert resized_size((375, 500), 800, 1333, "float") == (800, 1066)  # 1066.7 rounded down
    assert resized_size((375, 500), 800, 1333, "pillow") == (800, 1067)
    assert resized_size((100, 399), 100, 201, "pillow") == (50, 201)  # 50.4
    assert resized_size((2, 900), 800, 9, "float") == (1, 9)


@pytest.mark.parametrize("kind", ["pillow", "float"])
def test_an_equal_size_changes_no_value(rng, kind):
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    found = resize_image(image, (5, 7), kind)
    assert found.dtype == (np.uint8 if kind == "pillow" else np.float32)
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9, 200])
@pytest.mark.parametrize(
    ("kind", "dtype"), [("uint8", np.uint8), ("uint8", np.uint16), ("float", np.uint8), ("float", np.uint16), ("pillow", np.uint8)]
)
def test_any_number_of_channels_is_resized_as_each_alone(kind, channels, dtype, rng):
    image = rng.integers(0, np.iinfo(dtype).max, (23, 31, channels), dtype)
    found = resize_image(image, (14, 40), kind)
    assert found.shape == (14, 40, channels)
    assert found.dtype == (np.float32 if kind == "float" else dtype)
    alone = np.stack([resize_image(np.repeat(image[..., i : i + 1], 3, axis=2), (14, 40), kind)[..., 0] for i in range(channels)], axis=2)
    # OpenCV takes other instructions for other numbers of channels, which may round a half the other way.
    np.testing.assert_allclose(found, alone, rtol=0, atol=1 if dtype == np.uint16 and kind == "uint8" else 0)
