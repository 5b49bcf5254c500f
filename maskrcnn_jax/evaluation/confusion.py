"""Which classes are taken for which, at any score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.evaluation.overlaps import Overlaps, best_match

MATCH_IOU = 0.5
"""Of a detection and the object that it counts as."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Detections and the objects that they lie on; n detections, m objects, k classes, i images.

    In each image detections come best first, and each takes the free object of any class that it overlaps most, if their IoU is at least
    `MATCH_IOU`. As a detection's object depends on better ones alone, the matches of those from a score up are some of these. Detections
    half of which or more lie in a crowd of their class, and that have no object, are left out.

    images, scores, found: of each detection, the index of its image, and of its class. truth: class of its object, k for none.
    object_images, objects: of each object, the index of its image and of its class.
    """

    classes: int
    image_ids: tuple[int, ...]
    images: Int[np.ndarray, "n"]
    scores: np.ndarray
    found: Int[np.ndarray, "n"]
    truth: Int[np.ndarray, "n"]
    object_images: Int[np.ndarray, "m"]
    objects: Int[np.ndarray, "m"]

    def matrix(self, score: float) -> Int[np.ndarray, "_ _"]:
        """Row: class of the object, the last row none. Column: class of the detection, the last one none: missed objects.

        Only detections of `score` and above; each object and each detection is in one cell.
        """
        cells = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        kept = self.scores >= score
        np.add.at(cells, (self.truth[kept], self.found[kept]), 1)
        objects = np.bincount(self.objects, minlength=self.classes)
        cells[: self.classes, -1] = objects - cells[: self.classes, : self.classes].sum(axis=1)
        return cells

    def of_images(self, score: float) -> Int[np.ndarray, "i 4"]:
        """Of each image: objects found as their class, as another class, detections on no object, and objects missed."""
        kept = self.scores >= score
        kinds = (kept & (self.truth == self.found), kept & (self.truth != self.found) & (self.truth < self.classes), kept & self._alone)
        right, wrong, alone = (np.bincount(self.images[kind], minlength=len(self.image_ids)) for kind in kinds)
        objects = np.bincount(self.object_images, minlength=len(self.image_ids))
        return np.stack([right, wrong, alone, objects - right - wrong], axis=1)

    @property
    def _alone(self) -> np.ndarray:
        return self.truth == self.classes


def confusion(images: Sequence[Overlaps], classes: int) -> Confusion:
    """Match the detections of each image with objects of any class.

    Args:
      images: from `overlaps`.
      classes: categories of the ground truth.
    """
    rows: list[tuple[int, float, int, int]] = []
    for i, image in enumerate(images):
        rows += [(i, *row) for row in _matched(image, classes)]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return Confusion(
        classes=classes,
        image_ids=tuple(image.image_id for image in images),
        images=np.array(columns[0], np.int64),
        scores=np.array(columns[1], np.float64),
        found=np.array(columns[2], np.int64),
        truth=np.array(columns[3], np.int64),
        object_images=np.repeat(np.arange(len(images)), [len(image.objects) for image in images]),
        objects=np.concatenate([np.zeros(0, np.int64), *(image.objects for image in images)]),
    )


def _matched(image: Overlaps, classes: int) -> list[tuple[float, int, int]]:
    """Score, class found, class of the object."""
    free = np.ones(len(image.objects), np.bool_)
    rows = []
    for score, label, ious, in_crowd in zip(image.scores, image.labels, image.ious, image.in_crowd, strict=True):
        match = best_match(ious, free, MATCH_IOU)
        if match is None and in_crowd >= MATCH_IOU:
            continue
        if match is not None:
            free[match] = False
        rows.append((float(score), int(label), classes if match is None else int(image.objects[match])))
    return rows
