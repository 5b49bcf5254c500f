import numpy as np
import pytest

from maskrcnn_jax.data import mosaic, paste
from tests.data.painted import assert_masks_are_where_the_image_shows_them, assert_whole, of_masks, painted


def square(size, y, x, side, label, image_id=0, crowds=False):
    mask = np.zeros((1, *size), np.uint8)
    mask[0, y : y + side, x : x + side] = 1
    return of_masks(mask, [label], image_id, crowds)


def test_pasting_by_hand():
    ground, other = square((6, 8), 1, 1, 3, 1, image_id=7, crowds=True), square((4, 4), 0, 0, 2, 2)
    pasted = paste(ground, other, np.array([True]), (2, 3))
    assert pasted.image_id == 7
    assert pasted.labels.tolist() == [1, 2]
    assert pasted.crowd.tolist() == [True, False]
    assert pasted.boxes.tolist() == [[1, 1, 4, 4], [3, 2, 5, 4]]
    assert pasted.masks[0].sum() == 9 - 2  # the column that the new object covers two pixels of
    assert (pasted.image[2:4, 3:5] == [0, 255, 0]).all()
    assert ground.image[2, 3].tolist() == [255, 0, 0]  # what was pasted on is as it was


@pytest.mark.parametrize("offset", [(0, 0), (13, -21), (-40, 50), (59, 79), (-49, -69)])
def test_pasted_masks_are_where_the_image_shows_them(offset):
    for seed in range(4):
        ground, other = painted(seed, crowds=True), painted(seed + 50, (50, 70))
        pasted = paste(ground, other, np.arange(5) % 2 == 0, offset)
        assert_masks_are_where_the_image_shows_them(pasted)
        assert_whole(pasted)


@pytest.mark.parametrize("offset", [(60, 0), (0, -70), (-200, 500)])
def test_what_lies_outside_changes_nothing(offset):
    ground, other = painted(1), painted(2, (50, 70))
    pasted = paste(ground, other, np.ones(5, np.bool_), offset)
    assert all(np.array_equal(a, b) for a, b in zip(pasted, ground, strict=True))


def test_nothing_chosen_changes_nothing():
    ground = painted(1)
    pasted = paste(ground, painted(2), np.zeros(5, np.bool_), (0, 0))
    assert all(np.array_equal(a, b) for a, b in zip(pasted, ground, strict=True))


def test_an_object_that_is_covered_whole_is_left_out():
    ground, other = square((6, 6), 1, 1, 2, 1), square((6, 6), 0, 0, 4, 3)
    pasted = paste(ground, other, np.array([True]), (0, 0))
    assert pasted.labels.tolist() == [3]
    assert pasted.boxes.tolist() == [[0, 0, 4, 4]]


def test_a_mosaic_by_hand():
    parts = [square((2, 3), 0, 0, 2, 1, image_id=9), square((2, 1), 0, 0, 1, 2), square((4, 3), 1, 0, 3, 3), square((4, 1), 3, 0, 1, 1)]
    whole = mosaic(parts)
    assert whole.image.shape == (6, 4, 3)
    assert whole.image_id == 9
    assert whole.labels.tolist() == [1, 2, 3, 1]
    assert whole.boxes.tolist() == [[0, 0, 2, 2], [3, 0, 4, 1], [0, 3, 3, 6], [3, 5, 4, 6]]
    assert_masks_are_where_the_image_shows_them(whole)


def test_the_parts_of_a_mosaic_are_found_in_it():
    parts = [painted(seed, size, crowds=True) for seed, size in enumerate([(60, 80), (60, 50), (50, 80), (50, 50)])]
    whole = mosaic(parts)
    assert np.array_equal(whole.image[60:, :80], parts[2].image)
    assert whole.crowd.tolist() == [True, False, False, False, False] * 4
    assert_masks_are_where_the_image_shows_them(whole)
    assert_whole(whole)
