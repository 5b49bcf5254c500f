"""Each image's detections against all of its objects, of any class: what confusions and kinds of errors are told from."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask as mask_utils

from maskrcnn_jax.evaluation.ground_truth import encode_segmentation
from maskrcnn_jax.evaluation.matching import check_detections


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """One image: d detections, best first, and g objects that are not crowds.

    labels, objects: classes, indices into the categories in the order of their ids. ious: of boxes or of masks.
    in_crowd: greatest share of a detection that lies in a crowd of its own class, 0 where there is none.
    """

    image_id: int
    scores: Float[np.ndarray, "d"]
    labels: Int[np.ndarray, "d"]
    objects: Int[np.ndarray, "g"]
    ious: Float[np.ndarray, "d g"]
    in_crowd: Float[np.ndarray, "d"]


def overlaps(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]],
    kind: Literal["bbox", "segm"] = "segm",
    *,
    max_detections: int = 100,
) -> list[Overlaps]:
    """Of each image of `ground_truth`; images and classes are in the order of their ids, as in pycocotools.

    Args:
      ground_truth: a COCO dataset dict.
      detections: entries of COCO's results format.
      kind: whether boxes or masks overlap.
      max_detections: best so many of a class in an image, as in COCO's metrics.

    Raises:
      ValueError: as `run_coco`.
    """
    check_detections(ground_truth, detections, [kind])
    index = {category["id"]: k for k, category in enumerate(sorted(ground_truth["categories"], key=_id))}
    annotations, found = defaultdict(list), defaultdict(list)
    for annotation in ground_truth["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    for entry in sorted(detections, key=lambda entry: -entry["score"]):
        found[entry["image_id"]].append(entry)
    return [
        _image(image, annotations[image["id"]], _best(found[image["id"]], max_detections), kind, index)
        for image in sorted(ground_truth["images"], key=_id)
    ]


def _id(entry: dict[str, Any]) -> int:
    return entry["id"]


def best_match(ious: Float[np.ndarray, "g"], free: Bool[np.ndarray, "g"], threshold: float) -> int | None:
    """The free object of greatest IoU, if that reaches `threshold`; of several as good the last, as pycocotools does."""
    if not free.any():
        return None
    last = len(ious) - 1 - int(np.argmax(np.where(free, ious, -1.0)[::-1]))
    return last if ious[last] >= threshold else None


def _best(entries: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    taken: dict[int, int] = defaultdict(int)
    kept = []
    for entry in entries:
        taken[entry["category_id"]] += 1
        if taken[entry["category_id"]] <= limit:
            kept.append(entry)
    return kept


def _image(
    image: dict[str, Any], annotations: list[dict[str, Any]], entries: list[dict[str, Any]], kind: str, index: dict[int, int]
) -> Overlaps:
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    crowds = [annotation for annotation in annotations if annotation["iscrowd"]]
    labels = np.array([index[entry["category_id"]] for entry in entries], np.int64)
    regions = np.array([index[annotation["category_id"]] for annotation in crowds], np.int64)
    covered = _iou(entries, crowds, image, kind) * (labels[:, None] == regions[None])
    return Overlaps(
        image_id=int(image["id"]),
        scores=np.array([entry["score"] for entry in entries], np.float64),
        labels=labels,
        objects=np.array([index[annotation["category_id"]] for annotation in objects], np.int64),
        ious=_iou(entries, objects, image, kind),
        in_crowd=covered.max(axis=1, initial=0.0),
    )


def _iou(entries: list[dict[str, Any]], annotations: list[dict[str, Any]], image: dict[str, Any], kind: str) -> Float[np.ndarray, "d g"]:
    if not entries or not annotations:
        return np.zeros((len(entries), len(annotations)))
    found, objects = ([_shape(entry, image, kind) for entry in of] for of in (entries, annotations))
    return np.asarray(mask_utils.iou(found, objects, [int(annotation["iscrowd"]) for annotation in annotations]))


def _shape(entry: dict[str, Any], image: dict[str, Any], kind: str) -> Any:
    return entry["bbox"] if kind == "bbox" else encode_segmentation(entry["segmentation"], image)
