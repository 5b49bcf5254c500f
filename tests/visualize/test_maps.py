import numpy as np
import pytest

from maskrcnn_jax.visualize import components, energy, heat, over, signed


def test_the_scale_goes_from_violet_over_green_to_yellow_and_red_is_not_finite():
    picture = heat(np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf]], np.float32), 0.0, 1.0)[0]
    violet, green, yellow = picture[1], picture[2], picture[3]
    assert (picture[0] == violet).all()
    assert (picture[4] == yellow).all()
    assert (picture[5:] == (255, 0, 0)).all()
    assert violet.argmax() == 2
    assert violet.sum() < green.sum() < yellow.sum()
    assert green.argmax() == 1
    assert yellow[:2].min() > 200 > yellow[2]


def test_a_flat_map_is_dark():
    assert (heat(np.zeros((2, 2), np.float32), 0.0, 0.0) == heat(np.zeros((2, 2), np.float32), 0.0, 1.0)).all()


def test_a_map_without_cells_is_a_picture_without_pixels():
    assert heat(np.zeros((1, 0), np.float32), 0.0, 1.0).shape == (1, 0, 3)


def test_energy_by_hand():
    features = np.zeros((1, 2, 4), np.float32)
    features[0, 1] = 1, -1, 3, 5
    np.testing.assert_allclose(energy(features), [[0, 3]], rtol=1e-6)


def test_energy_of_large_halves_does_not_overflow():
    assert energy(np.full((1, 1, 2), 60000, np.float16)) == pytest.approx(60000, rel=1e-3)  # float16 ends at 65504


def test_components_tell_regions_apart_and_are_of_the_cells_alone(rng):
    """Two regions along one direction of 16, in noise: the first component is which region a cell is in."""
    which = np.zeros((12, 20), int)
    which[:, 11:] = 1
    direction = rng.standard_normal(16)
    features = 5 + 10 * which[..., None] * direction + 0.1 * rng.standard_normal((12, 20, 16))
    picture = components(features.astype(np.float32)).astype(int)
    assert abs(picture[which == 1, 0].mean() - picture[which == 0, 0].mean()) > 200
    order = rng.permutation(12)
    np.testing.assert_allclose(components(features[order].astype(np.float32)), picture[order], atol=1)  # rounding of sums


@pytest.mark.parametrize("channels", [1, 2])
def test_components_of_few_channels(channels, rng):
    picture = components(rng.standard_normal((5, 4, channels)).astype(np.float32))
    assert picture.shape == (5, 4, 3)
    assert (picture[..., channels:] == 0).all()
    assert np.ptp(picture[..., :channels]) > 200


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_components_of_nothing_are_black(value):
    assert (components(np.full((3, 3, 8), value, np.float32)) == 0).all()


def test_signed_values_have_their_zero_at_mid_grey():
    values = np.array([[[-2, 0, 2], [1, -1, np.nan]]], np.float32)
    assert signed(values).tolist() == [[[0, 128, 255], [191, 64, 128]]]
    assert (signed(np.zeros((2, 2, 1), np.float32)) == 128).all()
    assert signed(np.array([[[1.0]], [[-1.0]]], np.float32))[:, 0].tolist() == [[255] * 3, [0] * 3]


def test_cells_cover_their_part_of_the_image():
    """Cells of 3 pixels over 6 x 10: two rows, and three columns and a third."""
    cells = np.zeros((2, 4, 3), np.uint8)
    cells[1, 2] = 200, 100, 0
    cells[0, 3] = 0, 0, 250
    picture = over(np.full((6, 10, 3), 50, np.uint8), cells, 3.0)
    assert (picture[3:, 6:9] == (140, 80, 20)).all()
    assert (picture[:3, 9:] == (20, 20, 170)).all()
    assert (picture[:, :6] == 20).all()


def test_the_image_shows_through_in_grey():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 200, 200, 200
    image[2:, :2] = 255, 0, 0
    picture = over(image, np.zeros((1, 1, 3), np.uint8), 4.0)
    assert (picture[:2] == 80).all()
    assert (picture[2:, :2] == picture[2, 0, 0]).all()
    assert 20 < picture[2, 0, 0] < 60
