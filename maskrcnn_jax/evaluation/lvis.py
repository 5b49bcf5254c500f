"""LVIS's box and mask metrics: of each class on the images alone that were searched for it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.matching import Metrics, check_detections, entries_of, indexed, mean, objects_of, precisions, quiet, recalls

LVIS_DETECTIONS = 300
"""Best so many detections of an image, of all classes together, count."""

_NEGATIVE, _NOT_EXHAUSTIVE = _LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
_FREQUENCIES = ("r", "c", "f")


def is_federated(ground_truth: dict[str, Any]) -> bool:
    """Whether images of the dataset say which classes they were searched for, so that `evaluate_lvis` measures on it."""
    return any(key in image for image in ground_truth["images"] for key in _LISTS)


def evaluate_lvis(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], *, kinds: Sequence[str] = ("bbox", "segm")
) -> dict[str, Metrics]:
    """LVIS's metrics of `detections` against `ground_truth`, per kind.

    Of an image the best 300 detections count. A class is measured on the images that have an object of it or list it in
    `neg_category_ids`; detections of it in other images are dropped. In images that list it in `not_exhaustive_category_ids`
    a detection that matches no object counts neither as right nor as wrong. There are no crowds: `iscrowd` is not read. Sizes are told
    apart as `evaluate` does, objects and detections of area 0 do not exist. No detections give 0.0, no objects nan. The arguments are
    not changed.

    Args:
      ground_truth: a COCO dataset dict, as `ground_truth()` makes it of an LVIS file: each image has both lists, each category
        `frequency`, "r" (rare), "c" (common) or "f" (frequent).
      detections, kinds: as of `evaluate`.

    Returns:
      `Metrics` of each kind.

    Raises:
      ValueError: as `evaluate` does; an image without a list, or a category without its frequency.

    Source: Gupta et al. 2019, LVIS; its numbers are those of the `lvis` package 0.5.3, given detections of the one kind.
    """
    check_detections(ground_truth, detections, kinds, known=("bbox", "segm"))
    for image in ground_truth["images"]:
        if not all(key in image for key in _LISTS):
            raise ValueError(f"image id {image['id']} has not both of {_LISTS}, and others have; add them, empty where nothing is known")
    for category in ground_truth["categories"]:
        if category.get("frequency") not in _FREQUENCIES:
            raise ValueError(f"category id {category['id']} has no `frequency` of {_FREQUENCIES}; add it")
    best = _best(detections)
    return {kind: _measure(ground_truth, best, kind) for kind in kinds}


def _best(detections: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each image the first ones by score; of equal scores those that come first."""
    of_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in detections:
        of_image[entry["image_id"]].append(entry)
    return [
        entry for found in of_image.values() for entry in sorted(found, key=lambda entry: entry["score"], reverse=True)[:LVIS_DETECTIONS]
    ]


def _measure(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: str) -> Metrics:
    objects = [{**row, "iscrowd": 0} for row in objects_of(ground_truth) if row["area"] > 0]
    entries = [row for row in entries_of(detections, kind) if row["area"] > 0]
    present, negative, partial = _images_of_classes(ground_truth, objects)
    categories = ground_truth["categories"]
    precision, recall = -np.ones((10, 101, len(categories), 4)), -np.ones((10, len(categories), 4))
    with quiet():
        truth, found = indexed(ground_truth, objects), indexed(ground_truth, entries)
        for k, id_ in enumerate(category["id"] for category in categories):
            if present[id_]:
                run = _matched(truth, found, kind, id_, present[id_] | negative[id_], partial[id_])
                precision[:, :, k], recall[:, k] = run.eval["precision"][:, :, 0, :, 0], run.eval["recall"][:, 0, :, 0]
    groups = {name: [k for k, category in enumerate(categories) if category["frequency"] == name] for name in _FREQUENCIES}
    of_groups = {f"AP{name}": mean(precision[:, :, members, 0]) for name, members in groups.items()}
    stats = {**precisions(precision), **of_groups, f"AR{LVIS_DETECTIONS}": mean(recall[..., 0]), **recalls(recall)}
    return Metrics(stats, {int(category["id"]): mean(precision[:, :, k, 0]) for k, category in enumerate(categories)})


def _images_of_classes(ground_truth: dict[str, Any], objects: list[dict[str, Any]]) -> tuple[defaultdict[int, set[int]], ...]:
    """Of each class, the images with an object of it, those that list it as negative, and those that list it as not exhaustive."""
    present, negative, partial = (defaultdict[int, set[int]](set) for _ in range(3))
    for row in objects:
        present[row["category_id"]].add(row["image_id"])
    for image in ground_truth["images"]:
        for key, images in ((_NEGATIVE, negative), (_NOT_EXHAUSTIVE, partial)):
            for id_ in image[key]:
                images[id_].add(image["id"])
    return present, negative, partial


def _matched(truth: COCO, found: COCO, kind: str, category_id: int, images: set[int], partial: set[int]) -> COCOeval:
    """One class on `images`; where they are in `partial`, detections that match nothing are ignored, as those of other sizes are."""
    run = COCOeval(truth, found, kind)
    run.params.imgIds, run.params.catIds, run.params.maxDets = sorted(images), [category_id], [LVIS_DETECTIONS]
    run.evaluate()
    for entry in run.evalImgs:
        if entry is not None and entry["image_id"] in partial:
            entry["dtIgnore"] |= entry["dtMatches"] == 0
    run.accumulate()
    return run
