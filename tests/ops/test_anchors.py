import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import base_anchors, box_area, grid_anchors
from tests.ops.checks import assert_close
from tests.oracles import boxes as oracle

RATIOS = (0.5, 1.0, 2.0)


@pytest.mark.parametrize("round_corners", [False, True])
@pytest.mark.parametrize("size", [32, 51.5, 512])
@pytest.mark.parametrize("ratios", [RATIOS, (0.3,)])
def test_base_equals_the_oracle(size, ratios, round_corners):
    # float32 of coordinates up to 467.
    expected = np.asarray(oracle.base_anchors(size, ratios, round_corners))
    assert_close(base_anchors(size, ratios, round_corners=round_corners), expected, atol=5e-5)


def test_base_by_hand():
    """The published anchors of torchvision at size 32: 46 x 22, 32 x 32, 22 x 46 (height over width 0.5, 1, 2)."""
    anchors = base_anchors(32, RATIOS, round_corners=True)
    assert anchors.tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    assert anchors.dtype == np.float32
    assert base_anchors(3, (1.0,), round_corners=True).tolist() == [[-2, -2, 2, 2]]  # halves to even


def test_base_anchors_share_their_area():
    areas = box_area(jnp.asarray(base_anchors(64, RATIOS, round_corners=False)))
    assert_close(areas, np.full(3, 64.0**2), rtol=1e-6)  # float32


def test_base_of_less_than_a_pixel():
    assert base_anchors(0.5, (1.0,), round_corners=False).tolist() == [[-0.25, -0.25, 0.25, 0.25]]


def test_grid_equals_the_oracle():
    base = base_anchors(32, RATIOS, round_corners=True)
    expected = np.asarray(oracle.grid_anchors(base.tolist(), 3, 5, 8.0, 7.5))
    assert_close(grid_anchors(base, (3, 5), (8.0, 7.5)), expected)  # halves and integers are exact


def test_grid_by_hand():
    base = np.asarray([[-1, -2, 1, 2], [-3, -3, 3, 3]], np.float32)
    assert grid_anchors(base, (2, 2), (10, 4)).tolist() == [
        [-1, -2, 1, 2], [-3, -3, 3, 3], [3, -2, 5, 2], [1, -3, 7, 3],
        [-1, 8, 1, 12], [-3, 7, 3, 13], [3, 8, 5, 12], [1, 7, 7, 13],
    ]  # fmt: skip


def test_grid_under_jit_and_x64():
    base = base_anchors(32, RATIOS, round_corners=False)
    eager = grid_anchors(base, (2, 3), (4, 4))
    assert_close(jax.jit(lambda: grid_anchors(base, (2, 3), (4, 4)))(), eager)
    with jax.enable_x64(True):
        assert grid_anchors(base, (2, 3), (4, 4)).dtype == jnp.float32


@pytest.mark.parametrize(("size", "ratios"), [(0, (1.0,)), (32, (0.5, 0.0))])
def test_error_names_size_and_ratios(size, ratios):
    with pytest.raises(ValueError) as error:
        base_anchors(size, ratios, round_corners=True)
    assert str(error.value) == f"anchor size and ratios must be positive; got {size} and {ratios}"
