"""COCO's box and mask metrics."""

from collections.abc import Sequence
from typing import Any

from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.matching import Metrics, check_detections, entries_of, indexed, mean, objects_of, precisions, quiet, recalls


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
    check_detections(ground_truth, detections, kinds)
    if max_detections <= 10:
        raise ValueError(f"max_detections is {max_detections}, but AR10 needs more than 10; pass 100 also where a model returns fewer")
    return {kind: _measure(ground_truth, detections, kind, max_detections) for kind in kinds}


def _measure(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: str, max_detections: int) -> Metrics:
    with quiet():
        objects, found = indexed(ground_truth, objects_of(ground_truth)), indexed(ground_truth, entries_of(detections, kind))
        run = COCOeval(objects, found, kind)
        run.params.maxDets = [1, 10, max_detections]
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"][..., -1], run.eval["recall"]
    few = {"AR1": mean(recall[..., 0, 0]), "AR10": mean(recall[..., 0, 1])}
    stats = {**precisions(precision), **few, f"AR{max_detections}": mean(recall[..., 0, -1]), **recalls(recall[..., -1])}
    return Metrics(stats, {int(id_): mean(precision[:, :, k, 0]) for k, id_ in enumerate(run.params.catIds)})
