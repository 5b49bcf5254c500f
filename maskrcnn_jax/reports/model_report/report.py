"""The whole report on one model, or on two of the same data, as numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from maskrcnn_jax.evaluation import CONFIDENCE, MATCH_IOU, RESAMPLES, SEED, Interval, Kind, Resampled, interval, is_federated
from maskrcnn_jax.reports.model_report.measured import KINDS, Measured, measure
from maskrcnn_jax.structs import Category

SCORES = tuple(i / 100 for i in range(100))
"""Positions of the page's slider."""
SCORE = 0.5
"""Where it stands at first: what pictures show, and which images come first."""

FEDERATED = (
    "the images list the classes that they were searched for, as LVIS's do; a report would take what nobody was asked to annotate for "
    "errors; measure on such data with `maskrcnn eval`"
)
"""Why there is no report on some data."""


@dataclass(frozen=True, kw_only=True)
class ImageCounts:
    """One image at a score: objects found as their class, as another, detections on no object, objects missed.

    f1: harmonic mean of precision and recall, where a detection of another class is wrong and its object not found; nan where there is
    neither object nor detection.
    """

    image_id: int
    right: int
    wrong: int
    alone: int
    missed: int

    @property
    def f1(self) -> float:
        """See above."""
        of = 2 * (self.right + self.wrong) + self.alone + self.missed
        return 2 * self.right / of if of else math.nan


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a model does on a dataset, or two.

    dataset: what the data are called. images: COCO's rows, in the order of ids. categories: in the order of ids, and how many objects
    each has, crowds not counted. models: one or two, the second compared with the first.
    """

    dataset: str
    images: tuple[dict[str, Any], ...]
    categories: tuple[Category, ...]
    objects: tuple[int, ...]
    crowds: int
    max_detections: int
    models: tuple[Measured, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on besides data and models."""
        return {
            "match_iou": MATCH_IOU,
            "score": SCORE,
            "max_detections": self.max_detections,
            "resamples": RESAMPLES,
            "seed": SEED,
            "confidence": CONFIDENCE,
        }

    def intervals(self, model: Measured, kind: Kind) -> dict[str, Interval]:
        """Each metric of a model."""
        metrics = model.metrics[kind]
        return {name: interval(value, metrics.stats_of[name]) for name, value in metrics.stats.items()}

    def class_intervals(self, model: Measured, kind: Kind) -> dict[int, Interval]:
        """AP of each category id."""
        metrics = model.metrics[kind]
        return {id: interval(value, metrics.per_class_of[id]) for id, value in metrics.per_class.items()}

    def differences(self, kind: Kind) -> dict[str, Interval]:
        """Second model less the first, both of the same resamples."""
        first, second = (model.metrics[kind] for model in self.models)
        return {name: _difference(first, second, "stats", name) for name in first.stats}

    def class_differences(self, kind: Kind) -> dict[int, Interval]:
        """The same of AP of each category id."""
        first, second = (model.metrics[kind] for model in self.models)
        return {id: _difference(first, second, "per_class", id) for id in first.per_class}

    def image_counts(self, model: Measured, score: float = SCORE) -> list[ImageCounts]:
        """Of each image."""
        rows = zip(self.images, model.confusion.of_images(score).tolist(), strict=True)
        return [ImageCounts(image_id=image["id"], right=r, wrong=w, alone=a, missed=m) for image, (r, w, a, m) in rows]

    def worst_first(self) -> list[int]:
        """Indices of the images by F1 of the first model, those of more mistakes first where it is equal; empty ones come last."""
        counts = self.image_counts(self.models[0])
        key = [(math.isnan(of.f1), of.f1, -(of.wrong + of.alone + of.missed), i) for i, of in enumerate(counts)]
        return [i for *_, i in sorted(key)]

    def as_json(self) -> dict[str, Any]:
        """The whole as plain lists and dictionaries; what is not defined is None."""
        compared = len(self.models) == 2
        return _plain(
            {
                "dataset": {
                    "name": self.dataset,
                    "images": len(self.images),
                    "objects": sum(self.objects),
                    "crowds": self.crowds,
                    "categories": [
                        {"id": category.id, "name": category.name, "objects": count}
                        for category, count in zip(self.categories, self.objects, strict=True)
                    ],
                },
                "settings": self.settings,
                "models": [self._model(model) for model in self.models],
                "differences": {kind: self.differences(kind) for kind in KINDS} if compared else None,
                "class_differences": {kind: self.class_differences(kind) for kind in KINDS} if compared else None,
            }
        )

    def _model(self, model: Measured) -> dict[str, Any]:
        matrices = (model.confusion.matrix(score) for score in SCORES)  # one at a time: of 1,000 classes each has 8 MB
        return {
            "name": model.name,
            "metrics": {kind: self.intervals(model, kind) for kind in KINDS},
            "classes": {kind: self.class_intervals(model, kind) for kind in KINDS},
            "curves": model.curves,
            "calibration": model.calibration,
            "crowding": model.crowding,
            "errors": model.errors,
            "confusion": {
                "scores": SCORES,
                "cells": "[class of the object, class of the detection, number]; places in categories, one more is none",
                "at": [np.column_stack([*np.nonzero(cells), cells[np.nonzero(cells)]]) for cells in matrices],
            },
            "images": [asdict(of) | {"f1": of.f1} for of in self.image_counts(model)],
        }


def model_report(
    dataset: str, ground_truth: dict[str, Any], detections: Mapping[str, Sequence[dict[str, Any]]], *, max_detections: int = 100
) -> Report:
    """Measure one model, or two, on the same data.

    Args:
      dataset: what the data are called.
      ground_truth: a COCO dataset dict of at least one image.
      detections: by the name of the model, entries of COCO's results format.
      max_detections: best so many of a class in an image count, above 10.

    Raises:
      ValueError: as `evaluation.run_coco`, for scores below 0 or above 1, and for data that LVIS's metrics are for.
    """
    if is_federated(ground_truth):
        raise ValueError(FEDERATED)
    categories = sorted(ground_truth["categories"], key=lambda category: category["id"])
    counted = Counter(annotation["category_id"] for annotation in ground_truth["annotations"] if not annotation["iscrowd"])
    return Report(
        dataset=dataset,
        images=tuple(sorted(ground_truth["images"], key=lambda image: image["id"])),
        categories=tuple(Category(category["id"], category["name"]) for category in categories),
        objects=tuple(counted[category["id"]] for category in categories),
        crowds=len(ground_truth["annotations"]) - counted.total(),
        max_detections=max_detections,
        models=tuple(measure(name, ground_truth, found, max_detections=max_detections) for name, found in detections.items()),
    )


def _difference(first: Resampled, second: Resampled, of: str, name: Any) -> Interval:
    values, samples = ([getattr(model, field)[name] for model in (second, first)] for field in (of, f"{of}_of"))
    return interval(values[0] - values[1], samples[0] - samples[1], least=-1.0)


def _plain(value: Any) -> Any:
    """As JSON has it: no arrays, no dataclasses, no nan."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind == "i" else _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(of) for of in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and math.isnan(value) else value
