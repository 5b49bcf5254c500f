"""COCO's box and mask metrics."""

from collections.abc import Sequence
from typing import Any

from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.coco_run import run_coco
from maskrcnn_jax.evaluation.matching import Metrics, check_detections, mean, precisions, recalls


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
    check_detections(ground_truth, detections, kinds)
    runs = {kind: run_coco(ground_truth, detections, kind, max_detections=max_detections) for kind in kinds}  # type: ignore[arg-type]
    return {kind: metrics_of(run) for kind, run in runs.items()}


def metrics_of(run: COCOeval) -> Metrics:
    """The metrics of what `run_coco` returns."""
    precision, recall, max_detections = run.eval["precision"][..., -1], run.eval["recall"], run.params.maxDets[-1]
    few = {"AR1": mean(recall[..., 0, 0]), "AR10": mean(recall[..., 0, 1])}
    stats = {**precisions(precision), **few, f"AR{max_detections}": mean(recall[..., 0, -1]), **recalls(recall[..., -1])}
    return Metrics(stats, {int(id_): mean(precision[:, :, k, 0]) for k, id_ in enumerate(run.params.catIds)})
