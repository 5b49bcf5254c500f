"""Precision against recall."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.ranked import RECALLS

LEVELS: dict[str, slice] = {"0.50": slice(0, 1), "0.75": slice(5, 6), "0.50 to 0.95": slice(None)}
"""IoU of a curve, and its rows of pycocotools's array; the last is the mean over ten."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Greatest precision at a recall or beyond, as COCO's AP is the mean of; k classes in the order of their ids, 101 recalls.

    per_class: of each of `LEVELS`, rows of nan for classes without objects. mean: over classes with objects.
    """

    recalls: Float[np.ndarray, "101"]
    per_class: dict[str, Float[np.ndarray, "k 101"]]
    mean: dict[str, Float[np.ndarray, "101"]]


def curves(run: COCOeval) -> Curves:
    """The curves of what `run_coco` returns, of objects of all sizes."""
    precision = np.where(run.eval["precision"] > -1, run.eval["precision"], np.nan)[:, :, :, 0, -1]  # [IoU, recall, class]
    per_class = {name: precision[rows].mean(axis=0).T for name, rows in LEVELS.items()}
    with_objects = ~np.isnan(precision[0, 0])
    nothing = np.full(len(RECALLS), np.nan)
    mean = {name: of[with_objects].mean(axis=0) if with_objects.any() else nothing for name, of in per_class.items()}
    return Curves(recalls=RECALLS, per_class=per_class, mean=mean)
