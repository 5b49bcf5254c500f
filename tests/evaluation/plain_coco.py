"""pycocotools as anyone would call it, apart from the package: the other side of comparisons."""

import contextlib
import copy
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def plain_coco(truth, detections, kind, image_ids=None):
    """Evaluated and accumulated, with COCO's limits, on `image_ids` alone where they are given."""
    truth, detections = copy.deepcopy((truth, detections))
    for i, annotation in enumerate(truth["annotations"], 1):
        annotation["id"] = i
    if kind == "segm":
        for entry in detections:
            entry.pop("bbox")  # or loadRes takes the box's area
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = truth
        gt.createIndex()
        run = COCOeval(gt, gt.loadRes(detections), kind)
        if image_ids is not None:
            run.params.imgIds = image_ids
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def drawn(truth, detections, weights):
    """The dataset in which each image is there `weights` times, under ids of their own; images in the order of ids."""
    result, found = {**truth, "images": [], "annotations": []}, []
    ordered = sorted(truth["images"], key=lambda image: image["id"])
    for image, weight in zip(ordered, weights, strict=True):
        for _ in range(weight):
            id = len(result["images"]) + 1
            result["images"].append({**image, "id": id})
            result["annotations"] += [{**entry, "image_id": id} for entry in truth["annotations"] if entry["image_id"] == image["id"]]
            found += [{**entry, "image_id": id} for entry in detections if entry["image_id"] == image["id"]]
    return result, found


def mean(values):
    values = values[values > -1]
    return values.mean() if values.size else np.nan
