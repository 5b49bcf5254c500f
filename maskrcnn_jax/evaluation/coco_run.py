"""pycocotools on detections: the one place that calls it, and that keeps it from what it does to others.

Its `loadRes` fails on no detections and takes the area of a mask detection from its box where it has one; it never matches annotation
id 0; it prints. `Kind` says what overlap decides a match:

bbox: IoU of boxes. segm: IoU of masks. boundary: the smaller of the IoU of masks and that of their boundaries.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.boundary import boundary_of

Kind = Literal["bbox", "segm", "boundary"]

SHAPES: dict[str, str] = {"bbox": "bbox", "segm": "segmentation", "boundary": "segmentation"}
"""The field of a detection that each kind measures."""


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
    check_detections(ground_truth, detections, kind)
    annotations = [{**annotation, "id": i} for i, annotation in enumerate(ground_truth["annotations"], 1)]
    entries = [_as_annotation(entry, i, kind) for i, entry in enumerate(detections, 1)]
    evaluator = _BoundaryEval if kind == "boundary" else COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        run = evaluator(_coco(ground_truth, annotations), _coco(ground_truth, entries), "bbox" if kind == "bbox" else "segm")
        run.params.maxDets = [1, 10, max_detections]
        run.evaluate()
        run.accumulate()
    return run


def check_detections(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: Kind) -> None:
    """Raise ValueError, as `run_coco` says, unless `detections` can be measured."""
    sizes = {image["id"]: [image["height"], image["width"]] for image in ground_truth["images"]}
    categories = {category["id"] for category in ground_truth["categories"]}
    for i, entry in enumerate(detections):
        image_id, name = entry["image_id"], f"detection {i} (image id {entry['image_id']})"
        if image_id not in sizes:
            raise ValueError(f"{name}: no such image among the {len(sizes)} evaluated; leave it out, or evaluate on the data it comes from")
        if entry["category_id"] not in categories:
            raise ValueError(f"{name}: no category id {entry['category_id']} in the ground truth; use the data's ids, not labels")
        if SHAPES[kind] not in entry:
            raise ValueError(f"{name} has no {SHAPES[kind]!r}; leave {kind!r} out of kinds, or add it")
        if kind != "bbox" and list(entry["segmentation"]["size"]) != sizes[image_id]:
            raise ValueError(
                f"{name}: its mask's size {entry['segmentation']['size']} is not the image's {sizes[image_id]}; "
                "encode masks in the original image's pixels"
            )


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


def _as_annotation(entry: dict[str, Any], identity: int, kind: Kind) -> dict[str, Any]:
    """The detection as pycocotools wants it, with the one kind of shape that is measured."""
    shape = entry[SHAPES[kind]]
    area = shape[2] * shape[3] if kind == "bbox" else mask_utils.area(shape)
    common = {key: entry[key] for key in ("image_id", "category_id", "score")}
    return {**common, SHAPES[kind]: shape, "area": area, "id": identity, "iscrowd": 0}


def _coco(ground_truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {**ground_truth, "annotations": annotations}
    coco.createIndex()
    return coco
