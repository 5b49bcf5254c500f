import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.coco_masks import area_and_box, bitmap, run_lengths


def test_run_lengths_by_hand():
    values = np.array([[5, 0, 5], [5, 2, 0]])  # down the columns 5 5 0 2 5 0
    assert {value: bitmap(rle, 2, 3).tolist() for value, rle in run_lengths(values).items()} == {
        2: [[0, 0, 0], [0, 1, 0]],
        5: [[1, 0, 1], [1, 0, 0]],
    }
    assert run_lengths(np.ones((2, 2), bool)) == {1: {"size": [2, 2], "counts": "04"}}
    assert run_lengths(np.zeros((2, 2), np.uint8)) == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, bool])
@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_those_that_pycocotools_finds_of_each_mask(dtype, seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(np.repeat(rng.integers(0, 2 if dtype is bool else 9, (7, 5)), rng.integers(1, 4), 0), 3, 1).astype(dtype)
    found = run_lengths(values)
    assert list(found) == [int(value) for value in np.unique(values) if value]
    for value, rle in found.items():
        expected = coco_mask.encode(np.asfortranarray((values == value).astype(np.uint8)))
        assert rle == {"size": list(values.shape), "counts": expected["counts"].decode()}


def test_area_and_box_are_those_of_the_drawn_mask(rng):
    mask = np.zeros((20, 30), np.uint8)
    mask[3:17, 5:28] = rng.integers(0, 2, (14, 23))
    (rle,) = run_lengths(mask).values()
    polygons = [[4, 5, 14, 5, 14, 15, 4, 15], [10.2, 9, 35, 9, 20, 18.7]]
    runs = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2))
    uncompressed = {"size": [20, 30], "counts": np.diff(runs, prepend=0).tolist()}
    for segmentation in (rle, uncompressed, polygons):
        drawn = bitmap(segmentation, 20, 30)
        rows, columns = np.nonzero(drawn)
        x, y = int(columns.min()), int(rows.min())
        expected = drawn.sum(dtype=int), [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]
        assert area_and_box(segmentation, 20, 30) == expected
