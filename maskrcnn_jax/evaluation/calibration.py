"""Whether scores are probabilities: of the detections with a score of 0.8, are eight in ten right?"""

from dataclasses import dataclass

import numpy as np
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.ranked import ranked

BINS = 10
"""Of equal width, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Detections by score, and how many of them are right.

    counts, score, precision: of each bin, from the lowest; the number of detections, their mean score, and the share of them that is
    right, nan where there is none. error: the expected calibration error, that is the mean over detections of the distance between
    score and precision of their bin; nan without detections.
    """

    counts: tuple[int, ...]
    score: tuple[float, ...]
    precision: tuple[float, ...]
    error: float


def calibration(run: COCOeval) -> Calibration:
    """Of all detections that count: right are those that COCO matches with an object of their class at an IoU of 0.5.

    A bin holds scores from its lower end up to below its upper end, the last one 1 too.

    Args:
      run: from `run_coco`.

    Raises:
      ValueError: a score is below 0 or above 1.

    Source: Guo et al. 2017, section 2, for detections as Kueppers et al. 2020 do.
    """
    classes = [ranked(run, k) for k in range(len(run.params.catIds))]
    scores = np.concatenate([np.zeros(0), *(of.scores[of.counted[0]] for of in classes)])
    right = np.concatenate([np.zeros(0, np.bool_), *(of.hit[0][of.counted[0]] for of in classes)])
    if scores.min(initial=0.0) < 0 or scores.max(initial=1.0) > 1:
        raise ValueError(f"scores are {scores.min():g} to {scores.max():g}, which are no probabilities; give such of 0 to 1")
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        score, precision = (np.bincount(bins, weights, minlength=BINS) / counts for weights in (scores, right))
        error = np.nansum(counts * np.abs(score - precision)) / np.float64(counts.sum())
    return Calibration(counts=tuple(counts.tolist()), score=tuple(score.tolist()), precision=tuple(precision.tolist()), error=float(error))
