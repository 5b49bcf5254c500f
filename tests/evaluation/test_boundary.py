import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax.evaluation import evaluate
from maskrcnn_jax.evaluation.boundary import boundary_of
from tests.evaluation.by_hand import dataset, found, rle, thing


def by_loops(mask, distance):
    """Pixels of the mask with one outside it, or outside the image, at most `distance` king's moves away."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        around = mask[max(y - distance, 0) : y + distance + 1, max(x - distance, 0) : x + distance + 1]
        at_edge = y < distance or x < distance or y >= height - distance or x >= width - distance
        edge[y, x] = at_edge or not around.all()
    return edge


@pytest.mark.parametrize(("size", "distance"), [((10, 15), 1), ((30, 40), 1), ((60, 80), 2), ((120, 160), 4), ((10, 200), 4)])
def test_boundary_is_what_loops_find(size, distance, rng):
    assert max(1, round(0.02 * np.hypot(*size))) == distance
    blobs = np.kron(rng.random((size[0] // 5, size[1] // 5)) < 0.7, np.ones((5, 5))).astype(np.uint8)
    blobs[rng.random(size) < 0.002] = 0
    edge = mask_utils.decode(boundary_of(mask_utils.encode(np.asfortranarray(blobs))))
    np.testing.assert_array_equal(edge, by_loops(blobs, distance))


def test_an_empty_mask_has_none():
    assert mask_utils.area(boundary_of(rle(0, 0, 0, 0))) == 0


def test_boundary_ap_worked_out_by_hand():
    """On a canvas of 400 x 400 boundaries are 11 pixels wide.

    Squares of 100 and, inside one edge, of 100 x 90: mask IoU 0.9. Boundaries: of the square 100^2 - 78^2 = 3916, of the other
    100 x 90 - 78 x 68 = 3696; both share all of the second but its row pixels 79 ... 89 between, that is 78 x 10 of them. IoU
    (3696 - 780) / (3916 + 780) = 0.62, so that it counts at 0.50, 0.55 and 0.60.
    """
    truth, detections = dataset(thing(100, 100, 100, 100)), [found(100, 100, 100, 90, 0.9)]
    metrics = evaluate(truth, detections, kinds=("segm", "boundary"))
    assert metrics["segm"].stats["AP"] == pytest.approx(0.9)
    assert metrics["boundary"].stats["AP"] == pytest.approx(0.3)
    assert metrics["boundary"].stats["AP50"] == pytest.approx(1.0)


def test_of_both_ious_the_smaller_counts():
    """A frame of 11 pixels inside a square has its boundary almost, but little of its mask."""
    square = np.zeros((400, 400), np.uint8)
    square[100:300, 100:300] = 1
    frame = square.copy()
    frame[113:287, 113:287] = 0
    shapes = [mask_utils.encode(np.asfortranarray(mask)) for mask in (square, frame)]
    edges = [boundary_of(shape) for shape in shapes]
    assert mask_utils.iou([edges[0]], [edges[1]], [0])[0, 0] > 0.8
    metrics = evaluate(
        dataset(thing(100, 100, 200, 200, mask=shapes[0])), [found(100, 100, 200, 200, 0.9, mask=shapes[1])], kinds=("boundary",)
    )
    assert metrics["boundary"].stats["AP"] == 0.0


def test_only_the_best_detections_count():
    corners = [(0, 30 * i) for i in range(13)]
    truth = dataset(*(thing(x, y, 20, 20) for x, y in corners))
    detections = [found(x, y, 20, 20, 0.5 + y / 1000) for x, y in corners]
    assert evaluate(truth, detections, kinds=("boundary",), max_detections=12)["boundary"].stats["AR12"] == pytest.approx(12 / 13)


def test_crowds_are_regions_without_a_boundary():
    truth = dataset(thing(0, 0, 50, 50), thing(200, 200, 150, 150, crowd=1))
    detections = [found(240, 240, 40, 40, 0.9), found(0, 0, 50, 50, 0.8)]
    assert evaluate(truth, detections, kinds=("boundary",))["boundary"].stats["AP"] == pytest.approx(1.0)
