"""Which detections of one image are right, and which objects were missed."""

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.evaluation.overlaps import best_match
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
    free = ~truth.crowd
    overlap = _overlaps(result.boxes, truth.boxes, truth.crowd)
    same = result.labels[:, None] == truth.labels[None, :]
    for i, row in enumerate(overlap):
        match = best_match(row, free & same[i], iou)
        if match is not None:
            found[i], free[match] = True, False
        else:
            aside[i] = bool((row[same[i] & truth.crowd] >= iou).any())
    return Outcomes(found, aside, free)


def _overlaps(boxes: np.ndarray, gt_boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU, and with a crowd the share of the detection, [n, g]."""
    if not len(boxes) or not len(gt_boxes):
        return np.zeros((len(boxes), len(gt_boxes)))
    rows = [np.column_stack([x[:, :2], x[:, 2:] - x[:, :2]]).astype(np.float64) for x in (boxes, gt_boxes)]
    return np.asarray(mask_utils.iou(*rows, crowd.astype(np.uint8)))
