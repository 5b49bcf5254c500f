"""The operators given to torchvision, against the oracles that ours are held to; no PyTorch needed."""

import numpy as np

from tests.oracles import roi_align, selection
from tests.parity import kernels


def test_nms(rng):
    corners = rng.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (80, 2))], axis=1).astype(np.float32)
    scores = (rng.permutation(80) // 2).astype(np.float32)  # in pairs of equals
    kept = kernels.nms(boxes, scores, 0.5)
    assert 10 < len(kept) < 70
    assert kept.tolist() == selection.greedy_nms(boxes, scores, np.ones(80, bool), np.zeros(80, int), 0.5)
    assert len(kernels.nms(boxes[:0], scores[:0], 0.5)) == 0


def test_adaptive_roi_align(rng):
    maps = rng.random((2, 1, 40, 50)).astype(np.float32)
    rois = np.array([[0, 3.2, 4.1, 31.7, 12.3], [1, 0, 0, 50, 40], [1, 20, 30.5, 20.4, 31], [0, 10, 3, 14, 39]], np.float32)
    for found, (index, *box) in zip(kernels.adaptive_roi_align(maps, rois, 7), rois, strict=True):
        expected = roi_align.roi_align(maps[int(index), 0], box, 1, 7, None, False)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5)  # float32 positions of up to 50 cells are good to 4e-6
