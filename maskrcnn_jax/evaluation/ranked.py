"""Detections of one class over all images, best first, and average precision of them, with a weight an image.

A weight of 2 counts an image twice, 0 not at all: so a resample of the images, or a part of them, needs no matching of its own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools.cocoeval import COCOeval

RECALLS = np.linspace(0.0, 1.0, 101)
"""At which COCO reads precision."""
_AT_ONCE = 4_000_000  # numbers in one array, which bounds memory


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Detections of a class in one of COCO's ranges of area, best first over all images; n of them, t IoU thresholds, i images.

    scores, images: of each detection; the second is an index. rank: its place among those of its class in its image, from 0.
    hit: whether it has an object. counted: whether it counts, right or wrong; what lies in a crowd or out of the range does not.
    objects: that count, an image.
    """

    scores: Float[np.ndarray, "n"]
    images: Int[np.ndarray, "n"]
    rank: Int[np.ndarray, "n"]
    hit: Bool[np.ndarray, "t n"]
    counted: Bool[np.ndarray, "t n"]
    objects: Int[np.ndarray, "i"]


def ranked(run: COCOeval, category: int, area: int = 0) -> Ranked:
    """Read off what `run_coco` has matched.

    Args:
      run: from `run_coco`.
      category: index into `run.params.catIds`.
      area: 0 all, 1 small, 2 medium, 3 large.
    """
    images, areas, thresholds = len(run.params.imgIds), len(run.params.areaRng), len(run.params.iouThrs)
    start = (category * areas + area) * images
    found = [(i, entry) for i, entry in enumerate(run.evalImgs[start : start + images]) if entry is not None]
    objects = np.zeros(images, np.int64)
    for i, entry in found:
        objects[i] = np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0)
    none = np.zeros((thresholds, 0))
    scores = np.concatenate([[], *(entry["dtScores"] for _, entry in found)]).astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    matched = np.concatenate([none, *(entry["dtMatches"] for _, entry in found)], axis=1)[:, order] > 0
    ignored = np.concatenate([none, *(entry["dtIgnore"] for _, entry in found)], axis=1)[:, order] > 0
    counts = [len(entry["dtScores"]) for _, entry in found]
    return Ranked(
        scores=scores[order],
        images=np.repeat(np.array([i for i, _ in found], np.int64), counts)[order],
        rank=np.concatenate([np.zeros(0, np.int64), *(np.arange(count) for count in counts)])[order],
        hit=matched & ~ignored,
        counted=~ignored,
        objects=objects,
    )


def average_precision(of: Ranked, weights: Int[np.ndarray, "b i"]) -> Float[np.ndarray, "b t"]:
    """COCO's average precision, with each image counted `weights` times, b times over.

    Without ties of scores between images it is what pycocotools gives for images that are there so many times.

    Returns:
      0 ... 1 for each row of weights and each IoU threshold; nan where no object has a weight.
    """
    kept = of.counted.any(axis=0)
    columns, hit, counted = of.images[kept], of.hit[:, kept], of.counted[:, kept]
    found = np.zeros((len(weights), len(hit)))
    rows = max(1, _AT_ONCE // max(1, len(columns)))
    for start in range(0, len(weights), rows):
        part = weights[start : start + rows]
        objects = part @ of.objects
        own = part[:, columns]
        total = np.cumsum(own, axis=1)
        for t in range(len(hit)):
            found[start : start + rows, t] = _area_under(own, total, hit[t], counted[t], objects)
    return found


def _area_under(
    weights: Int[np.ndarray, "b n"],
    total: Int[np.ndarray, "b n"],
    hit: Bool[np.ndarray, "n"],
    counted: Bool[np.ndarray, "n"],
    objects: Int[np.ndarray, "b"],
) -> Float[np.ndarray, "b"]:
    """Mean over `RECALLS` of the greatest precision at that recall or beyond, which changes at hits alone; `total`: sums of `weights`."""
    (at,), (out,) = np.nonzero(hit), np.nonzero(~counted)
    right = np.cumsum(weights[:, at], axis=1)
    before = np.cumsum(np.pad(weights[:, out], ((0, 0), (1, 0))), axis=1)[:, np.searchsorted(out, at)]
    precision = right / (total[:, at] - before + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = right / objects[:, None]
    reached = np.searchsorted(RECALLS, np.nan_to_num(recall), side="right")
    area = (best * np.diff(reached, prepend=0, axis=1)).sum(axis=1) / len(RECALLS)
    return np.where(objects > 0, area, np.nan)


def recall(of: Ranked, weights: Int[np.ndarray, "b i"], limit: int) -> Float[np.ndarray, "b t"]:
    """Share of the objects that the best `limit` detections of each image have found; weights and result as in `average_precision`."""
    found = np.stack([np.bincount(of.images[row & (of.rank < limit)], minlength=len(of.objects)) for row in of.hit], axis=1)  # [i, t]
    some = found.any(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return weights[:, some] @ found[some] / (weights @ of.objects)[:, None]
