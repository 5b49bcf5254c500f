"""Detections matched with objects as COCO does, for masks' boundaries too.

`Kind` says what overlap decides a match. bbox: IoU of boxes. segm: IoU of masks. boundary: the smaller of the IoU of masks and that of
their boundaries.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.boundary import boundary_of
from maskrcnn_jax.evaluation.matching import check_detections, entries_of, indexed, objects_of, quiet

Kind = Literal["bbox", "segm", "boundary"]


def run_coco(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: Kind, *, max_detections: int = 100) -> COCOeval:
    """`detections` matched with `ground_truth` and accumulated: `eval` and `evalImgs` of the result are filled.

    Limits are 1, 10 and `max_detections` of a class in an image; images and categories are in the order of their ids. The arguments are
    not changed.

    Args:
      ground_truth: a COCO dataset dict; annotation ids are not read.
      detections: entries of COCO's results format, of any images of `ground_truth`.
      kind: what is compared.
      max_detections: above 10.

    Raises:
      ValueError: a detection names an image or a category `ground_truth` lacks, has no box or mask to measure, or its mask is of another
        size than the image; or `max_detections` cannot be used.
    """
    if max_detections <= 10:
        raise ValueError(f"max_detections is {max_detections}, but AR10 needs more than 10; pass 100 also where a model returns fewer")
    check_detections(ground_truth, detections, [kind])
    evaluator = _BoundaryEval if kind == "boundary" else COCOeval
    with quiet():
        objects, found = indexed(ground_truth, objects_of(ground_truth)), indexed(ground_truth, entries_of(detections, kind))
        run = evaluator(objects, found, "bbox" if kind == "bbox" else "segm")
        run.params.maxDets = [1, 10, max_detections]
        run.evaluate()
        run.accumulate()
    return run


class _BoundaryEval(COCOeval):
    """Masks whose boundaries must overlap too; crowds are regions, of which the boundary means nothing."""

    def computeIoU(self, image_id: Any, category_id: Any) -> Any:
        ious = super().computeIoU(image_id, category_id)
        objects, found = self._gts[image_id, category_id], self._dts[image_id, category_id]
        if not objects or not found:
            return ious
        order = np.argsort([-entry["score"] for entry in found], kind="stable")[: self.params.maxDets[-1]]
        near = [[boundary_of(entry["segmentation"]) for entry in entries] for entries in ([found[i] for i in order], objects)]
        edges = mask_utils.iou(*near, [0] * len(objects))
        crowd = np.array([bool(entry["iscrowd"]) for entry in objects])
        return np.where(crowd, ious, np.minimum(ious, edges))
