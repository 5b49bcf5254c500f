"""How far metrics would move with other images of the same kind: the bootstrap over images (Efron 1979)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.metrics import metrics_of
from maskrcnn_jax.evaluation.ranked import average_precision, ranked, recall

RESAMPLES, SEED, CONFIDENCE = 1000, 0, 0.95
"""How many resamples, what they are drawn by, and the share of them that an interval holds."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number and the interval around it; nan where it is not defined, or in no resample."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """COCO's numbers of the data and of b resamples of its images.

    stats: by name, as in `Metrics.stats`, the number of the data. stats_of: of each resample. per_class, per_class_of: AP of each
    category id. nan where a resample has no object of the class or size.
    """

    stats: dict[str, float]
    stats_of: dict[str, Float[np.ndarray, "b"]]
    per_class: dict[int, float]
    per_class_of: dict[int, Float[np.ndarray, "b"]]


def image_weights(images: int, resamples: int = RESAMPLES, seed: int = SEED) -> Int[np.ndarray, "{resamples} {images}"]:
    """How often each image is drawn, with replacement, into each resample of as many images.

    The same for every model that is measured on the same images: differences between models are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / max(images, 1)), size=resamples)


def bootstrap(run: COCOeval, *, resamples: int = RESAMPLES, seed: int = SEED) -> Resampled:
    """COCO's twelve numbers, and AP of each class, of resamples of the images.

    Matching is that of `run`, which is done within images, so that no image is matched again.

    Args:
      run: from `run_coco`.
      resamples: how many.
      seed: of the drawing.
    """
    metrics = metrics_of(run)
    weights = image_weights(len(run.params.imgIds), resamples, seed)
    classes, limits = range(len(run.params.catIds)), run.params.maxDets
    precision, recalled = {}, {}  # by area, and by area and limit: [class, resample, IoU]
    for area in range(len(run.params.areaRng)):
        of = [ranked(run, k, area) for k in classes]
        precision[area] = np.array([average_precision(one, weights) for one in of]).reshape(len(of), resamples, -1)
        for limit in limits if area == 0 else limits[-1:]:
            recalled[area, limit] = np.array([recall(one, weights, limit) for one in of]).reshape(len(of), resamples, -1)
    parts = [
        precision[0],
        precision[0][:, :, :1],
        precision[0][:, :, 5:6],
        *(precision[area] for area in (1, 2, 3)),
        *(recalled[0, limit] for limit in limits),
        *(recalled[area, limits[-1]] for area in (1, 2, 3)),
    ]
    return Resampled(
        stats=metrics.stats,
        stats_of={name: _mean(part, (0, 2)) for name, part in zip(metrics.stats, parts, strict=True)},
        per_class=metrics.per_class,
        per_class_of={int(id): _mean(precision[0][k], (1,)) for k, id in enumerate(run.params.catIds)},
    )


def interval(value: float, samples: Float[np.ndarray, "b"], *, least: float = 0.0, confidence: float = CONFIDENCE) -> Interval:
    """Where the number lies on other images, as many and of the same kind.

    The percentile interval (Efron and Tibshirani 1993, chapter 13) of how far the samples lie from their median, around `value`. The
    samples themselves lie too high: a resample holds some images several times, and their detections, whose scores are the same, find
    objects together, so that its AP is that of fewer images, and AP of few is higher.

    Args:
      value: of the data.
      samples: of the resamples; those that are nan do not count.
      least: of the number, -1 for a difference; the greatest is 1. The interval ends there.
      confidence: share of the samples that lie inside.
    """
    defined = samples[~np.isnan(samples)]
    if not defined.size or np.isnan(value):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    tail = 100 * (1 - confidence) / 2
    low, middle, high = np.percentile(defined, [tail, 50, 100 - tail])
    return Interval(value=value, low=max(least, float(value + low - middle)), high=min(1.0, float(value + high - middle)))


def _mean(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean over what is defined, nan where nothing is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, values, 0).sum(axis=axes) / defined.sum(axis=axes)
