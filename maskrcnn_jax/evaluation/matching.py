"""What the metrics of COCO and of LVIS share: pycocotools matches and accumulates, the numbers are read off its arrays.

pycocotools is kept from four things here: its `loadRes` fails on no detections and takes the area of a mask detection from
its box where it has one; its `summarize` gives AP -1 for any limit but 100; it never matches annotation id 0; it prints.

Its precision is [IoU, recall, class, area] and its recall [IoU, class, area], each at one limit of detections.
IoU: 0.50, 0.55 ... 0.95. Area: all, small, medium, large.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

SHAPES = {"bbox": "bbox", "segm": "segmentation", "boundary": "segmentation"}
"""What can be measured, and the field of a detection that it needs."""


class Metrics(NamedTuple):
    """Numbers for boxes or for masks, each 0 ... 1, or nan where no object is counted (COCO and LVIS write -1).

    stats: by name. COCO's twelve are AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl, AR100 being named after the limit in
      use; LVIS's thirteen AP AP50 AP75 APs APm APl APr APc APf AR300 ARs ARm ARl, the last four being its AR@300 ... ARl@300.
    per_class: AP of each category id. Classes without objects are nan and do not enter the means.
    """

    stats: dict[str, float]
    per_class: dict[int, float]


def check_detections(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kinds: Sequence[str], known: Sequence[str] = tuple(SHAPES)
) -> None:
    """Raise ValueError where a detection fits no image or category of `ground_truth`, or cannot be measured in one of `kinds`."""
    if not set(kinds) <= set(known):
        raise ValueError(f"kinds {tuple(kinds)} cannot be measured; name some of {tuple(known)}")
    for kind in kinds:
        _check(ground_truth, detections, kind)


def _check(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: str) -> None:
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


def objects_of(ground_truth: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations, numbered from 1."""
    return [{**annotation, "id": i} for i, annotation in enumerate(ground_truth["annotations"], 1)]


def entries_of(detections: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The detections as pycocotools wants them, with the one kind of shape that is measured."""
    return [_as_annotation(entry, i, kind) for i, entry in enumerate(detections, 1)]


def _as_annotation(entry: dict[str, Any], identity: int, kind: str) -> dict[str, Any]:
    shape = entry[SHAPES[kind]]
    area = shape[2] * shape[3] if kind == "bbox" else mask_utils.area(shape)
    common = {key: entry[key] for key in ("image_id", "category_id", "score")}
    return {**common, SHAPES[kind]: shape, "area": area, "id": identity, "iscrowd": 0}


def indexed(ground_truth: dict[str, Any], rows: list[dict[str, Any]]) -> COCO:
    """`rows`, objects or detections, with the images and categories of `ground_truth`."""
    coco = COCO()
    coco.dataset = {**ground_truth, "annotations": rows}
    coco.createIndex()
    return coco


def quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """A context in which pycocotools' lines are not seen."""
    return contextlib.redirect_stdout(io.StringIO())


def precisions(precision: Float64[np.ndarray, "iou recall k area"]) -> dict[str, float]:
    """AP over IoUs, at two of them, and of three sizes."""
    return {
        "AP": mean(precision[..., 0]),
        "AP50": mean(precision[0, ..., 0]),
        "AP75": mean(precision[5, ..., 0]),
        "APs": mean(precision[..., 1]),
        "APm": mean(precision[..., 2]),
        "APl": mean(precision[..., 3]),
    }


def recalls(recall: Float64[np.ndarray, "iou k area"]) -> dict[str, float]:
    """AR of three sizes."""
    return {"ARs": mean(recall[..., 1]), "ARm": mean(recall[..., 2]), "ARl": mean(recall[..., 3])}


def mean(values: np.ndarray) -> float:
    """Mean over what was measured: -1 marks classes without objects."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else float("nan")
