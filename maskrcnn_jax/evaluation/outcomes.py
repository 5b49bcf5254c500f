"""Which detections of one image are right, and which objects were missed."""

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Example, Outcomes, Result


def outcomes(result: Result, truth: Example, *, iou: float) -> Outcomes:
    """Match detections and ground truth by their boxes as COCO's metrics do at one IoU.

    The best detection of a class chooses first, and takes of the objects of its class that nobody has the one that it overlaps most,
    by `iou` at least. One that finds none but lies, by that share of its own area, in a crowd does not count.

    Args:
      result: detections, best first.
      truth: objects in the same pixels, with the same labels.
      iou: above 0.
    """
    found, aside = (np.zeros(len(result.scores), np.bool_) for _ in range(2))
    taken = np.zeros(len(truth.labels), np.bool_)
    overlap = _overlaps(result.boxes, truth.boxes, truth.crowd)
    same = result.labels[:, None] == truth.labels[None, :]
    for i, row in enumerate(np.where(same & (overlap >= iou), overlap, -1.0)):
        free = np.where(taken | truth.crowd, -1.0, row)
        if (free > 0).any():
            taken[np.flatnonzero(free == free.max())[-1]] = found[i] = True  # of equals the last, as pycocotools
        else:
            aside[i] = bool((row[truth.crowd] > 0).any())
    return Outcomes(found, aside, ~taken & ~truth.crowd)


def _overlaps(boxes: np.ndarray, gt_boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU, and with a crowd the share of the detection, [n, g]."""
    if not len(boxes) or not len(gt_boxes):
        return np.zeros((len(boxes), len(gt_boxes)))
    rows = [np.column_stack([x[:, :2], x[:, 2:] - x[:, :2]]).astype(np.float64) for x in (boxes, gt_boxes)]
    return np.asarray(mask_utils.iou(*rows, crowd.astype(np.uint8)))
