"""What kinds of errors a model makes, and how much AP each costs: TIDE (Bolya et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Int

from maskrcnn_jax.evaluation.overlaps import Overlaps, best_match
from maskrcnn_jax.evaluation.ranked import Ranked, average_precision

ErrorType = Literal["classification", "localisation", "both", "duplicate", "background", "missed"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)
FOREGROUND, BACKGROUND = 0.5, 0.1
"""IoU from which a detection has found an object, and below which it has nothing to do with one: those of the paper."""


@dataclass(frozen=True, kw_only=True)
class ErrorSplit:
    """Errors by type.

    ap50: AP at an IoU of 0.5, with no error mended. counts: of each class, by index; a missed object counts for its own class, all other
    errors for that of the detection. cost: by how much AP50 rises where the errors of one type alone are mended; these do not add up to
    1 - ap50. false_positives: where all wrong detections are left out. false_negatives: where all objects without a detection are.
    """

    ap50: float
    counts: dict[ErrorType, Int[np.ndarray, "k"]]
    cost: dict[ErrorType, float]
    false_positives: float
    false_negatives: float


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Detections, n of them, best first.

    labels: classes. errors: type of error as an index into `ERROR_TYPES`, -1 for those that are right. mended: the class that a wrong
    one is right for once mended, -1 for those that are left out then.
    """

    labels: Int[np.ndarray, "n"]
    errors: Int[np.ndarray, "n"]
    mended: Int[np.ndarray, "n"]

    def without(self, error: int) -> "_Found":
        """The errors of one type mended: right, or gone."""
        of_it, kept = self.errors == error, (self.errors != error) | (self.mended >= 0)
        return _Found(
            labels=np.where(of_it, self.mended, self.labels)[kept],
            errors=np.where(of_it, -1, self.errors)[kept],
            mended=np.where(of_it, -1, self.mended)[kept],
        )


def error_types(images: Sequence[Overlaps], classes: int) -> ErrorSplit:
    """The errors of all detections, whatever their score, and of all objects.

    Detections are matched with objects of their class as in COCO's AP50. One that has no object, and does not lie in a crowd, is an error
    of the first type that fits:

    - localisation: it overlaps an object of its class by at least 0.1, but none by 0.5.
    - classification: it overlaps an object of another class by 0.5 or more.
    - duplicate: it overlaps an object of its class by 0.5 or more, and a better detection has that.
    - background: it overlaps no object by 0.1.
    - both: the rest; it overlaps objects of other classes alone, by less than 0.5.

    Missed are objects that have no detection, and that no error of the first two types lies on. Mending moves a detection of these two to
    its object, the best one alone where several lie on it, and leaves it out where the object is found; it leaves out those of the next
    three, and missed objects. A class without objects in the data has no AP; one that mending leaves without any has 0 if it has
    detections, and none otherwise.

    Args:
      images: from `overlaps`.
      classes: categories of the ground truth.

    Source: Bolya et al. 2020, sections 2.2 and 2.3, and where these leave it open, as the authors' code; but what lies in a crowd is no
      error, and classes that have detections alone are left out, as in COCO's metrics.
    """
    parts = [_errors_in(image) for image in images]
    order = np.argsort(-np.concatenate([[], *(image.scores[kept] for image, (kept, *_) in zip(images, parts, strict=True))]), kind="stable")
    labels, errors, mended = (np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)])[order] for i in (1, 2, 3))
    found = _Found(labels=labels, errors=errors, mended=mended)
    lost, missed = (_count([part[i] for part in parts], classes) for i in (4, 5))
    objects = _count([image.objects for image in images], classes)
    counts = {name: np.bincount(labels[errors == i], minlength=classes) for i, name in enumerate(ERROR_TYPES[:-1])} | {"missed": missed}
    ap50 = _ap(found, objects, objects)
    mends = {name: _ap(found.without(i), objects, objects) for i, name in enumerate(ERROR_TYPES[:-1])}
    mends["missed"] = _ap(found, objects - missed, objects)
    right = errors < 0
    alone = _Found(labels=labels[right], errors=errors[right], mended=mended[right])
    return ErrorSplit(
        ap50=ap50,
        counts=counts,
        cost={name: mends[name] - ap50 for name in ERROR_TYPES},
        false_positives=_ap(alone, objects, objects) - ap50,
        false_negatives=_ap(found, objects - lost, objects) - ap50,
    )


def _errors_in(image: Overlaps) -> tuple[np.ndarray, ...]:
    """Detections that count, as a mask; their labels, errors and mended classes; classes of objects without one, and of the missed ones."""
    same = image.labels[:, None] == image.objects[None]
    own, others = np.where(same, image.ious, 0.0), np.where(same, 0.0, image.ious)
    free = np.ones(len(image.objects), np.bool_)
    errors, mended = np.full((2, len(image.labels)), -1)
    hit = np.zeros(len(image.labels), np.bool_)
    for d in range(len(image.labels)):
        match = best_match(own[d], free & same[d], FOREGROUND)
        if match is not None:
            hit[d], free[match] = True, False
    taken = np.zeros_like(free)  # objects that a mended detection has
    for d in np.flatnonzero(~hit).tolist():
        name, on = _error_of(own[d], others[d])
        errors[d] = ERROR_TYPES.index(name)
        if image.in_crowd[d] < FOREGROUND and on is not None and free[on] and not taken[on]:
            mended[d], taken[on] = image.objects[on], True
    kept = hit | (image.in_crowd < FOREGROUND)
    return kept, image.labels[kept], errors[kept], mended[kept], image.objects[free], image.objects[free & ~taken]


def _error_of(own: np.ndarray, others: np.ndarray) -> tuple[ErrorType, int | None]:
    """The type of an error, and the object that mending moves it to, from its IoU with objects of its class and of others, else 0."""
    nearest, nearest_other = own.max(initial=0.0), others.max(initial=0.0)
    if BACKGROUND <= nearest < FOREGROUND:
        return "localisation", int(own.argmax())
    if nearest_other >= FOREGROUND:
        return "classification", int(others.argmax())
    if nearest >= FOREGROUND:
        return "duplicate", None
    return ("background" if max(nearest, nearest_other) < BACKGROUND else "both"), None


def _count(labels: Sequence[np.ndarray], classes: int) -> Int[np.ndarray, "k"]:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=classes)


def _ap(found: _Found, objects: Int[np.ndarray, "k"], known: Int[np.ndarray, "k"]) -> float:
    """Mean of the classes' AP; `objects` count, `known` are those of the data."""
    order = np.argsort(found.labels, kind="stable")
    hits = np.split((found.errors < 0)[order], np.searchsorted(found.labels[order], np.arange(1, len(known))))
    aps = [_class_ap(hit, int(count)) for hit, count, of_data in zip(hits, objects, known, strict=True) if of_data and (count or len(hit))]
    return float(np.mean(aps)) if aps else float("nan")


def _class_ap(hit: Bool[np.ndarray, "n"], objects: int) -> float:
    if not objects:
        return 0.0
    of = Ranked(
        scores=np.arange(len(hit), 0, -1.0),
        images=np.zeros(len(hit), np.int64),
        rank=np.arange(len(hit)),
        hit=hit[None],
        counted=np.ones((1, len(hit)), np.bool_),
        objects=np.array([objects]),
    )
    return float(average_precision(of, np.ones((1, 1), np.int64))[0, 0])
