import numpy as np
import pytest

from maskrcnn_jax.visualize import draw_anchors, draw_matches, part, tiles
from maskrcnn_jax.visualize.colors import ASIDE
from maskrcnn_jax.visualize.stages import TILE

GREY, RED, BLUE = 100, (255, 0, 0), (0, 0, 255)


def image(height=640, width=640):
    return np.full((height, width, 3), GREY, np.uint8)


def level(rows, columns, stride, *sides):
    """Anchors of squares of some sides at each cell."""
    y, x = np.meshgrid((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij")
    return np.stack([np.stack([x - s / 2, y - s / 2, x + s / 2, y + s / 2], axis=-1) for s in sides], axis=2).astype(np.float32)


def test_anchors_of_three_cells_and_the_centres_of_all():
    picture = draw_anchors(image(), level(10, 10, 64, 100), RED)
    inked = (picture == RED).all(-1)
    corners = {
        (x, y) for y in range(10) for x in range(10) if inked[64 * y + 32 - 50, 64 * x + 32 - 50 : 64 * x + 32 + 40].all() and y and x
    }
    assert corners == {(5, 5), (2, 2), (7, 7)} or corners == {(4, 4), (2, 2), (7, 7)}  # the middle lies between cells
    assert all(inked[64 * y + 32, 64 * x + 32] for y in range(10) for x in range(10))


def test_centres_that_cannot_be_told_apart_are_left_out():
    """Three boxes of bold lines, and a few dots."""
    inked = (draw_anchors(image(), level(160, 160, 4, 40), RED) == RED).all(-1).sum()
    assert 0 < inked < 3 * (4 * 44 * 5 + 64)


def test_every_shape_of_a_cell_is_drawn():
    one, two = ((draw_anchors(image(), level(10, 10, 64, *sides), RED) == RED).all(-1).sum() for sides in ((50,), (50, 90)))
    assert two > one + 3 * 4 * 50


def test_a_level_of_one_cell_and_cells_beyond_the_image():
    assert (draw_anchors(image(), level(1, 1, 640, 100), RED) == RED).all(-1).any()
    picture = draw_anchors(image(64, 64), level(2, 2, 64, 16), RED)  # enlarged by 8; only the first cell has its centre in the image
    assert (picture[256, 256] == RED).all()
    assert (picture[:, 400:] == GREY).all()


def test_matches_have_the_colour_of_their_object():
    gt = np.array([[100, 100, 300, 300], [400, 400, 600, 600]], np.float32)
    near = np.array([[400, 420, 590, 610], [120, 90, 310, 290], [10, 400, 50, 440]], np.float32)
    picture = draw_matches(image(), near, np.array([1, 0, -1]), gt, [RED, BLUE])
    assert (picture[90, 200] == RED).all()
    assert (picture[500, 589] == BLUE).all()
    assert (picture[400, 30] == ASIDE).all()
    assert (picture[200, 99:102] == RED).all()  # the object itself is bold
    assert (picture[200, 97:104] == 255).all(-1).any()  # and edged with white


def test_matches_lie_over_background():
    same = np.array([[10, 10, 50, 50]] * 2, np.float32)
    picture = draw_matches(image(), same, np.array([-1, 0]), np.zeros((1, 4), np.float32), [RED])
    assert (picture[10, 30] == RED).all()


def test_without_objects_all_is_background():
    picture = draw_matches(image(), np.array([[10, 10, 50, 50]], np.float32), np.array([-1]), np.zeros((0, 4), np.float32), [])
    assert (picture[10, 30] == ASIDE).all()


def test_a_part_is_stretched_to_a_tile():
    """Left half dark, right half bright, from a box that is twice as wide as high."""
    halves = np.zeros((50, 100, 3), np.uint8)
    halves[:, 40:] = 240
    tile = part(halves, np.array([20, 10, 60, 30], np.float32))
    assert tile.shape == (TILE, TILE, 3)
    edge = TILE // 2
    assert (tile[:, : edge - 2] == 0).all()
    assert (tile[:, edge + 2 :] == 240).all()


def test_a_part_that_is_its_tile_is_copied():
    pixels = np.random.default_rng(0).integers(0, 256, (2 * TILE, 2 * TILE, 3)).astype(np.uint8)
    tile = part(pixels, np.array([10, 20, 10 + TILE, 20 + TILE], np.float32))
    assert (tile == pixels[20 : 20 + TILE, 10 : 10 + TILE]).all()


def test_beyond_the_image_its_edge_is_repeated_and_a_box_without_a_side_has_a_tile():
    assert (part(image(20, 20), np.array([-10, -10, 40, 40], np.float32)) == GREY).all()
    assert (part(image(20, 20), np.array([5, 5, 5, 5], np.float32)) == GREY).all()


def test_tiles_are_squares_in_rows_and_keep_their_cells():
    cells = np.zeros((2, 2, 3), np.uint8)
    cells[0, 1] = 255
    page = tiles([[image(30, 60), cells], [cells, cells]])
    assert page.shape == (2 * (TILE + 8) + 8, 2 * (TILE + 8) + 8, 3)
    tile = page[8 : 8 + TILE, TILE + 16 : -8]
    assert (tile[: TILE // 2, TILE // 2 :] == 255).all()
    assert (tile[TILE // 2 :] == 0).all()


@pytest.mark.parametrize("rows", [[], [[]]])
def test_no_tiles_are_refused(rows):
    with pytest.raises(ValueError) as error:
        tiles(rows)
    assert "at least one of each" in str(error.value)
