"""AP of images with few objects, and of crowded ones."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.ranked import average_precision, ranked

CROWDING: tuple[tuple[int, int | None], ...] = ((1, 4), (5, 9), (10, 19), (20, 49), (50, None))
"""Objects of an image, from and to; crowd regions are none."""


@dataclass(frozen=True, kw_only=True)
class Crowding:
    """Images with `fewest` to `most` objects (None: no limit): how many they are, their objects, AP and AP50; nan where there are none."""

    fewest: int
    most: int | None
    images: int
    objects: int
    ap: float
    ap50: float


def crowding(run: COCOeval, ground_truth: dict[str, Any]) -> list[Crowding]:
    """COCO's AP on the images of each of `CROWDING` alone; images without objects are in none.

    Args:
      run: from `run_coco`.
      ground_truth: what it was measured on.
    """
    counted = Counter(annotation["image_id"] for annotation in ground_truth["annotations"] if not annotation["iscrowd"])
    objects = np.array([counted[id] for id in run.params.imgIds], np.int64)
    inside = np.array([(objects >= low) & (objects <= (np.inf if high is None else high)) for low, high in CROWDING], np.int64)
    found = [average_precision(ranked(run, k), inside) for k in range(len(run.params.catIds))]
    ap = np.array(found).reshape(len(found), len(CROWDING), -1)  # [class, part, IoU]
    return [
        Crowding(
            fewest=low,
            most=high,
            images=int(inside[i].sum()),
            objects=int(inside[i] @ objects),
            ap=_mean(ap[:, i]),
            ap50=_mean(ap[:, i, :1]),
        )
        for i, (low, high) in enumerate(CROWDING)
    ]


def _mean(values: np.ndarray) -> float:
    """Over classes that have objects there."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
