"""What torchvision computes in C++, for a wheel that lacks it: NMS and the RoIAlign of mask targets, in NumPy."""

import numpy as np


def nms(boxes, scores, threshold):
    """Rows kept, best first; float32 as in torchvision/csrc/ops/cpu/nms_kernel.cpp."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        corner, far = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        overlap = np.maximum(far - corner, 0).prod(axis=1)
        order = order[~(overlap / (areas[best] + areas[order] - overlap) > np.float64(threshold))]  # compared as doubles, as there
    return np.array(kept, np.int64)


def adaptive_roi_align(maps, rois, size):
    """float32[k, 1, size, size] of one-channel maps[n, 1, h, w] and rois[k, 5], (map, x0, y0, x1, y1), inside their maps.

    aligned=False, scale 1, a point a pixel of a bin's side, rounded up. Bilinear weights are a row's times a column's, so each
    axis is one matrix. torchvision's Python fallback takes as many points a bin as the map has pixels: 200 MB a RoI.
    """
    out = np.zeros((len(rois), 1, size, size), np.float32)
    for row, (index, x0, y0, x1, y1) in enumerate(rois):
        cells = maps[int(index), 0]
        out[row, 0] = _bins(y0, y1, size, cells.shape[0]) @ cells @ _bins(x0, x1, size, cells.shape[1]).T
    return out


def _bins(start, end, size, cells):
    """[size, cells]: how much of each cell a bin of an axis takes."""
    side = np.maximum(end - start, np.float32(1))
    points = int(np.ceil(side / np.float32(size)))
    at = start + (np.arange(size * points, dtype=np.float32) + np.float32(0.5)) * (side / np.float32(size * points))
    at = np.clip(at, 0, cells - 1)
    low = np.floor(at).astype(int)
    weights = np.zeros((size * points, cells), np.float32)
    rows = np.arange(size * points)
    np.add.at(weights, (rows, low), 1 - (at - low))
    np.add.at(weights, (rows, np.minimum(low + 1, cells - 1)), at - low)
    return weights.reshape(size, points, cells).mean(axis=1)
