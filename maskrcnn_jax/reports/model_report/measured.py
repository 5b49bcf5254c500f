"""All that is measured of one model on one dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from maskrcnn_jax.evaluation import (
    Calibration,
    Confusion,
    Crowding,
    Curves,
    ErrorSplit,
    Kind,
    Resampled,
    bootstrap,
    calibration,
    confusion,
    crowding,
    curves,
    error_types,
    overlaps,
    run_coco,
)

KINDS: dict[Kind, str] = {"segm": "masks", "bbox": "boxes", "boundary": "boundaries"}
"""What is measured, and what a page calls it; the first two have curves and errors too."""
Shape = Literal["segm", "bbox"]
SHAPES: tuple[Shape, ...] = ("segm", "bbox")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model; classes and images are in the order of their ids. confusion: of masks."""

    name: str
    metrics: dict[Kind, Resampled]
    curves: dict[Shape, Curves]
    calibration: dict[Shape, Calibration]
    crowding: dict[Shape, list[Crowding]]
    errors: dict[Shape, ErrorSplit]
    confusion: Confusion


def measure(name: str, ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], *, max_detections: int = 100) -> Measured:
    """Measure `detections`, entries of COCO's results format, against `ground_truth`, a COCO dataset dict.

    Args:
      name: of the model.
      ground_truth: of at least one image.
      detections: of any of its images.
      max_detections: best so many of a class in an image count, above 10.

    Raises:
      ValueError: as `evaluation.run_coco`.
    """
    runs = {kind: _of_run(ground_truth, detections, kind, max_detections) for kind in KINDS}
    images = {kind: overlaps(ground_truth, detections, kind, max_detections=max_detections) for kind in SHAPES}
    classes = len(ground_truth["categories"])
    return Measured(
        name=name,
        metrics={kind: of.metrics for kind, of in runs.items()},
        curves={kind: runs[kind].curves for kind in SHAPES},
        calibration={kind: runs[kind].calibration for kind in SHAPES},
        crowding={kind: runs[kind].crowding for kind in SHAPES},
        errors={kind: error_types(images[kind], classes) for kind in SHAPES},
        confusion=confusion(images["segm"], classes),
    )


class _OfRun(NamedTuple):
    metrics: Resampled
    curves: Curves
    calibration: Calibration
    crowding: list[Crowding]


def _of_run(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]], kind: Kind, max_detections: int) -> _OfRun:
    """What is read off COCOeval, which is gone on return: of 5,000 images with 100 detections each it has two gigabytes."""
    run = run_coco(ground_truth, detections, kind, max_detections=max_detections)
    return _OfRun(bootstrap(run), curves(run), calibration(run), crowding(run, ground_truth))
