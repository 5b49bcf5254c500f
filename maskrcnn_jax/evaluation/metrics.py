"""COCO's box and mask metrics: the twelve numbers, read off the arrays that pycocotools accumulates.

Its own `summarize` gives AP -1 for any limit but 100.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.coco_run import SHAPES, run_coco


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
    large is that of the box for "bbox" and of the mask otherwise; of ground truth it is the annotation's `area`. No
    detections give 0.0, no objects nan. The arguments are not changed.

    Args:
      ground_truth: a COCO dataset dict, as `ground_truth()` makes it; annotation ids are not read.
      detections: entries of COCO's results format, of any images of `ground_truth`, with `bbox`, `segmentation` or both.
      kinds: "bbox", "segm" or both; and "boundary", masks whose boundaries must overlap too (Cheng et al. 2021).
      max_detections: best so many detections of a class in an image count, above 10; COCO's is 100.

    Returns:
      `Metrics` of each kind.

    Raises:
      ValueError: a detection names an image or a category `ground_truth` lacks, has no box or mask to measure, or its mask is
        of another size than the image; `kinds` or `max_detections` cannot be used.
    """
    if not set(kinds) <= set(SHAPES):
        raise ValueError(f"kinds {tuple(kinds)} cannot be measured; name some of {tuple(SHAPES)}")
    runs = {kind: run_coco(ground_truth, detections, kind, max_detections=max_detections) for kind in kinds}  # type: ignore[arg-type]
    return {kind: metrics_of(run) for kind, run in runs.items()}


def metrics_of(run: COCOeval) -> Metrics:
    """The metrics of what `run_coco` returns."""
    precision, recall = run.eval["precision"], run.eval["recall"]
    per_class = {int(id): _mean(precision[:, :, k, 0, -1]) for k, id in enumerate(run.params.catIds)}
    return Metrics(_twelve(precision, recall, run.params.maxDets[-1]), per_class)


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
