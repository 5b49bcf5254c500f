from dataclasses import replace

import numpy as np
import pytest

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.reports.check_data.anchors import Placed, best_iou, better_anchors, fit_of
from tests.oracles import boxes as oracle

CANVAS, SIZE = (64, 96), (50, 90)
CONFIG = AnchorConfig(sizes=(6.0, 12.0, 24.0, 40.0, 64.0))


def by_search(box, config, canvas, size):
    """Every anchor of every level, one at a time."""
    best = 0.0
    for level, side in enumerate(config.sizes):
        stride = 4 * 2**level
        rows, columns = (-(-length // stride) for length in canvas)
        steps = (stride, stride) if config.stride == "level" else (canvas[0] // rows, canvas[1] // columns)
        for anchor in oracle.grid_anchors(oracle.base_anchors(side, config.ratios, config.round_base), rows, columns, *steps):
            inside = (anchor[0] + anchor[2]) / 2 < size[1] and (anchor[1] + anchor[3]) / 2 < size[0]
            if config.in_padding == "keep" or inside:
                best = max(best, oracle.iou(box, anchor))
    return best


def placed(boxes, canvas=CANVAS, size=SIZE):
    return Placed(np.asarray(boxes, np.float64), *(np.tile(np.array(of), (len(boxes), 1)) for of in (size, canvas)))


@pytest.mark.parametrize("stride", ["level", "canvas"])
@pytest.mark.parametrize("in_padding", ["keep", "drop"])
@pytest.mark.parametrize("round_base", [False, True])
def test_the_best_anchor_is_that_of_all(rng, stride, in_padding, round_base):
    config = replace(CONFIG, stride=stride, in_padding=in_padding, round_base=round_base)
    canvas = (96, 160) if stride == "canvas" else CANVAS  # sides that 64 does not divide
    low = rng.uniform(0, [80, 40], (12, 2))
    boxes = np.concatenate([low, np.minimum(low + rng.uniform(1, 50, (12, 2)), [90, 50])], axis=1)
    expected = [by_search(box, config, canvas, SIZE) for box in boxes]
    assert best_iou(placed(boxes, canvas), config) == pytest.approx(expected, abs=1e-6)  # base anchors are float32


def test_a_best_anchor_by_hand():
    """16 x 16 at (8, 8): an anchor of 12 at its centre (16, 16), a multiple of 8, covers 144 of 256."""
    config = AnchorConfig(sizes=(1.0, 12.0, 1000.0, 1000.0, 1000.0), ratios=(1.0,))
    assert best_iou(placed([[8, 8, 24, 24]]), config).tolist() == [144 / 256]


def test_a_fit_counts_objects_under_a_half():
    fit = fit_of(CONFIG, np.array([0.2, 0.49, 0.5, 0.8]))
    assert (fit.under, fit.sizes, fit.ratios) == (2, CONFIG.sizes, CONFIG.ratios)
    assert fit.mean_iou == pytest.approx(0.4975)


def test_better_anchors_are_those_that_the_objects_were_made_of():
    """Objects of five sizes and two shapes, each on a cell of its level: the anchors that they are fit them all."""
    wanted = AnchorConfig(sizes=(8.0, 15.0, 30.0, 60.0, 120.0), ratios=(0.5, 2.0))
    boxes = []
    for level, size in enumerate(wanted.sizes):
        for x0, y0, x1, y1 in oracle.base_anchors(size, wanted.ratios, False):
            centre = 64 * (1 + level)
            boxes.append([centre + x0, centre + y0, centre + x1, centre + y1])
    start = replace(wanted, sizes=(7.0, 13.0, 26.0, 50.0, 105.0), ratios=(0.8, 1.3))
    on = placed(boxes, (512, 512), (512, 512))
    found = better_anchors(on, start)
    assert found.sizes == wanted.sizes
    assert found.ratios == wanted.ratios
    assert best_iou(on, found).min() > 0.999
    assert best_iou(on, start).min() < 0.8


def test_better_anchors_are_never_worse(rng):
    for seed in range(5):
        low = rng.uniform(0, 400, (300, 2))
        boxes = np.concatenate([low, low + np.exp(rng.normal(3 + 0.2 * seed, 0.7, (300, 2)))], axis=1)
        on = placed(boxes, (512, 512), (512, 512))
        before, after = (int((best_iou(on, anchors) < 0.5).sum()) for anchors in (AnchorConfig(), better_anchors(on, AnchorConfig())))
        assert after <= before
        assert before > 0
    assert better_anchors(on, AnchorConfig()) == better_anchors(on, AnchorConfig())
