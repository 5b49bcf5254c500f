import os

import cv2
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.visualize import compare, grid, save, shrink


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_grid_places_pictures_row_by_row_with_gaps_of_eight():
    page = grid([flat(10, 20, 1), flat(10, 20, 2), flat(10, 20, 3)], 2)
    assert page.shape == (2 * 18 + 8, 2 * 28 + 8, 3)
    assert (page[8:18, 8:28] == 1).all()
    assert (page[8:18, 36:56] == 2).all()
    assert (page[26:36, 8:28] == 3).all()
    assert (page[26:36, 36:56] == 255).all()
    assert (page[:8] == 255).all()


def test_pictures_of_several_sizes_are_centred_in_equal_cells():
    page = grid([flat(10, 20, 1), flat(30, 4, 2)], 2)
    assert page.shape == (46, 64, 3)
    assert (page[18:28, 8:28] == 1).all()
    assert (page[8:38, 44:48] == 2).all()
    assert (page == 1).sum() == 10 * 20 * 3


def test_a_grid_is_no_wider_than_its_pictures():
    assert grid([flat(10, 20, 1)], 5).shape == (26, 36, 3)


@pytest.mark.parametrize(("pictures", "columns"), [([], 2), ([flat(1, 1, 0)], 0)])
def test_an_empty_grid_is_refused(pictures, columns):
    with pytest.raises(ValueError) as error:
        grid(pictures, columns)
    assert "at least one of each" in str(error.value)


def test_compare_puts_both_under_headings():
    both = compare(flat(100, 200, 1), flat(100, 200, 2))
    assert both.shape[1] == 2 * 200 + 3 * 8
    assert (both[-108:-8, 8:208] == 1).all()
    assert (both[-108:-8, 216:416] == 2).all()
    top = both[8:-108]
    assert (top[:, 8:208] < 100).any()
    assert (top[:, 216:416] < 100).any()


@pytest.mark.parametrize(
    ("size", "shrunk"), [((640, 100), (640, 100)), ((1280, 300), (640, 150)), ((3, 6400), (1, 640)), ((1, 10), (1, 10))]
)
def test_a_picture_is_shrunk_to_a_longest_side(size, shrunk):
    picture = shrink(flat(*size, 7), 640)
    assert picture.shape == (*shrunk, 3)
    assert (picture == 7).all()


@pytest.mark.parametrize("name", ["a.png", "a.JPG"])
def test_saved_pictures_are_rgb(tmp_path, name):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 200
    save(tmp_path / name, picture)
    blue, green, red = cv2.imread(str(tmp_path / name))[8, 8].astype(int)
    assert abs(red - 200) < 4
    assert max(blue, green) < 4


@pytest.mark.parametrize(
    ("name", "height", "error", "said"),
    [
        ("absent/a.png", 4, OSError, "No such file or directory"),
        ("a.xyz", 4, ValueError, ".png"),
        ("a.jpg", 70_000, ValueError, "no .jpg holds 70000 x 4 pixels (height x width); shrink the picture"),
    ],
)
def test_a_picture_that_cannot_be_written_names_its_path(tmp_path, name, height, error, said):
    with pytest.raises(error) as caught:
        save(tmp_path / name, flat(height, 4, 0))
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["näme.png", os.fsdecode(b"caf\xe9.png")])
def test_a_name_may_be_any(tmp_path, name):
    """The second is in Latin-1, as archives of other systems have them."""
    save(tmp_path / name, flat(4, 4, 7))
    with Image.open(tmp_path / name) as picture:
        assert (np.asarray(picture) == 7).all()
