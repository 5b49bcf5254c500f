import numpy as np
import pytest

from maskrcnn_jax.data import crop_mask, example_of, make_batch, paste_grid, tight_box
from tests.data.painted import of_masks, painted

CANVAS = (64, 96)


@pytest.mark.parametrize("mask_crop", [None, 30])
def test_what_a_batch_copied_pixel_for_pixel_comes_back(mask_crop):
    """No object of these is larger than 30 pixels, so that grids are copies."""
    examples = [painted(seed, size) for seed, size in enumerate([(60, 80), (64, 50)])]
    batch = make_batch(examples, CANVAS, max_objects=8, mask_crop=mask_crop)
    for row, example in enumerate(examples):
        assert all(np.array_equal(a, b) for a, b in zip(example_of(batch, row), example, strict=True))


def test_crowds_come_last_as_in_the_batch():
    example = painted(1, crowds=True)
    shown = example_of(make_batch([example], CANVAS, max_objects=8, mask_crop=30), 0)
    assert shown.crowd.tolist() == [False] * 4 + [True]
    assert np.array_equal(shown.masks[-1], example.masks[0])


def test_float_images_become_bytes():
    example = painted(1)._replace(image=np.full((60, 80, 3), 99.6, np.float32))
    shown = example_of(make_batch([example], CANVAS, max_objects=8, mask_crop=30), 0)
    assert shown.image.dtype == np.uint8
    assert (shown.image == 100).all()


def test_float_images_of_16_bits_become_such():
    example = painted(1)._replace(image=np.full((60, 80, 5), 40000.4, np.float32))
    shown = example_of(make_batch([example], CANVAS, max_objects=8, mask_crop=30), 0, "uint16")
    assert shown.image.dtype == np.uint16
    assert (shown.image == 40000).all()


def test_a_larger_object_comes_back_to_a_cell_of_its_grid():
    y, x = np.mgrid[:60, :80]
    disc = ((y - 30.0) ** 2 + (x - 40.0) ** 2 < 25**2).astype(np.uint8)
    shown = example_of(make_batch([of_masks(disc[None], [1])], CANVAS, max_objects=8, mask_crop=14), 0)
    assert np.abs(np.subtract(tight_box(shown.masks[0]), tight_box(disc))).max() <= 2  # half of a cell of 50 / 14 pixels
    assert (shown.masks[0] != disc).mean() < 0.02


def test_a_grid_is_stretched_over_its_frame_and_cut_at_the_image():
    grid = np.array([[255, 0], [255, 255]], np.uint8)
    assert paste_grid(grid, np.float32([1, 0, 3, 2]), (3, 4)).tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert paste_grid(grid, np.float32([-1, 1, 1, 3]), (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert paste_grid(grid, np.float32([-1, -1, 1, 1]), (2, 3)).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert paste_grid(np.full((1, 1), 255, np.uint8), np.float32([2, 1, 9, 9]), (3, 4)).tolist() == [[0] * 4, [0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("box", [(0, 0, 5, 4), (70, 50, 80, 60), (3, 7, 60, 9)])
def test_pasting_undoes_cropping(box):
    mask = np.zeros((60, 80), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    assert np.array_equal(paste_grid(*crop_mask(mask, box, 64), (60, 80)), mask)
