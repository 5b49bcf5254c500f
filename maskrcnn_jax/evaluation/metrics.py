"""COCO's box and mask metrics. pycocotools matches and accumulates; the twelve numbers are read off its arrays.

pycocotools is kept from four things here: its `loadRes` fails on no detections and takes the area of a mask detection from
its box where it has one; its `summarize` gives AP -1 for any limit but 100; it never matches annotation id 0; it prints.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

_NEEDS = {"bbox": "bbox", "segm": "segmentation"}


class Metrics(NamedTuple):
    """COCO's numbers for boxes or for masks, each 0 ... 1, or nan where no object is counted (COCO writes -1).

    stats: the twelve by name: AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl; AR100 is named after the limit in use.
    per_class: AP of each category id. Classes without objects are nan and do not enter the means.
    """

    stats: dict[str, float]
    per_class: dict[int, float]


def evaluate(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]],
    *,
    kinds: Sequence[str] = ("bbox", "segm"),
    max_detections: int = 100,
) -> dict[str, Metrics]:
    """COCO's metrics of `detections` against `ground_truth`, per kind.

    Boxes and masks are measured apart, as official numbers are: the area that decides whether a detection is small, medium or
    large is that of the box for "bbox" and of the mask for "segm"; of ground truth it is the annotation's `area`. No
    detections give 0.0, no objects nan. The arguments are not changed.

    Args:
      ground_truth: a COCO dataset dict, as `ground_truth()` makes it; annotation ids are not read.
      detections: entries of COCO's results format, of any images of `ground_truth`, with `bbox`, `segmentation` or both.
      kinds: "bbox", "segm" or both.
      max_detections: best so many detections of a class in an image count, above 10; COCO's is 100.

    Returns:
      `Metrics` of each kind.

    Raises:
      ValueError: a detection names an image or a category `ground_truth` lacks, has no box or mask to measure, or its mask is
        of another size than the image; `kinds` or `max_detections` cannot be used.
    """
    if not set(kinds) <= set(_NEEDS):
        raise ValueError(f"kinds {tuple(kinds)} cannot be measured; name some of {tuple(_NEEDS)}")
    if max_detections <= 10:
        raise ValueError(f"max_detections is {max_detections}, but AR10 needs more than 10; pass 100 also where a model returns fewer")
    for kind in kinds:
        _check(ground_truth, detections, kind)
    return {kind: _measure(ground_truth, detections, kind, max_detections) for kind in kinds}


def _check(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: str) -> None:
    sizes = {image["id"]: [image["height"], image["width"]] for image in ground_truth["images"]}
    categories = {category["id"] for category in ground_truth["categories"]}
    for i, entry in enumerate(detections):
        image_id, name = entry["image_id"], f"detection {i} (image id {entry['image_id']})"
        if image_id not in sizes:
            raise ValueError(f"{name}: no such image among the {len(sizes)} evaluated; leave it out, or evaluate on the data it comes from")
        if entry["category_id"] not in categories:
            raise ValueError(f"{name}: no category id {entry['category_id']} in the ground truth; use the data's ids, not labels")
        if _NEEDS[kind] not in entry:
            raise ValueError(f"{name} has no {_NEEDS[kind]!r}; leave {kind!r} out of kinds, or add it")
        if kind == "segm" and list(entry["segmentation"]["size"]) != sizes[image_id]:
            raise ValueError(
                f"{name}: its mask's size {entry['segmentation']['size']} is not the image's {sizes[image_id]}; "
                "encode masks in the original image's pixels"
            )


def _measure(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: str, max_detections: int) -> Metrics:
    annotations = [{**annotation, "id": i} for i, annotation in enumerate(ground_truth["annotations"], 1)]
    entries = [_as_annotation(entry, i, kind) for i, entry in enumerate(detections, 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(_coco(ground_truth, annotations), _coco(ground_truth, entries), kind)
        run.params.maxDets = [1, 10, max_detections]
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]
    per_class = {int(id): _mean(precision[:, :, k, 0, -1]) for k, id in enumerate(run.params.catIds)}
    return Metrics(_twelve(precision, recall, max_detections), per_class)


def _as_annotation(entry: dict[str, Any], identity: int, kind: str) -> dict[str, Any]:
    """The detection as pycocotools wants it, with the one kind of shape that is measured."""
    shape = entry[_NEEDS[kind]]
    area = shape[2] * shape[3] if kind == "bbox" else mask_utils.area(shape)
    common = {key: entry[key] for key in ("image_id", "category_id", "score")}
    return {**common, _NEEDS[kind]: shape, "area": area, "id": identity, "iscrowd": 0}


def _coco(ground_truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {**ground_truth, "annotations": annotations}
    coco.createIndex()
    return coco


def _twelve(precision: np.ndarray, recall: np.ndarray, max_detections: int) -> dict[str, float]:
    """COCO's summary of precision [IoU, recall, class, area, limit] and recall [IoU, class, area, limit].

    IoU: 0.50, 0.55 ... 0.95. Area: all, small, medium, large. Limit: 1, 10, `max_detections`.
    """
    return {
        "AP": _mean(precision[:, :, :, 0, -1]),
        "AP50": _mean(precision[0, :, :, 0, -1]),
        "AP75": _mean(precision[5, :, :, 0, -1]),
        "APs": _mean(precision[:, :, :, 1, -1]),
        "APm": _mean(precision[:, :, :, 2, -1]),
        "APl": _mean(precision[:, :, :, 3, -1]),
        "AR1": _mean(recall[:, :, 0, 0]),
        "AR10": _mean(recall[:, :, 0, 1]),
        f"AR{max_detections}": _mean(recall[:, :, 0, -1]),
        "ARs": _mean(recall[:, :, 1, -1]),
        "ARm": _mean(recall[:, :, 2, -1]),
        "ARl": _mean(recall[:, :, 3, -1]),
    }


def _mean(values: np.ndarray) -> float:
    """Mean over what was measured: -1 marks classes without objects."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else float("nan")
