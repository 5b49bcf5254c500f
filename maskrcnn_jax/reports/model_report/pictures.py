"""The worst images: ground truth beside what each model finds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax import visualize
from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import Source, read_example
from maskrcnn_jax.reports.model_report.report import SCORE, Report
from maskrcnn_jax.structs import Category, Result

SIDE = 640
"""Long side of a picture, pixels, at most."""

Picture = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One image: its index in the report, its objects, and what each model finds in it with a score of `SCORE` or more."""

    image: int
    truth: Picture
    found: tuple[Picture, ...]


def worst_images(
    report: Report, source: Source, input_config: InputConfig, detections: Sequence[Sequence[dict[str, Any]]], count: int
) -> list[Pictures]:
    """Pictures of the first `count` images of `report.worst_first()`, which are read again, one at a time.

    Args:
      report: measured on `source`.
      source: its images.
      input_config: what images are.
      detections: of each model of the report.
      count: how many.
    """
    wanted = {report.images[i]["id"]: i for i in report.worst_first()[:count]}
    found: list[dict[int, list[dict[str, Any]]]] = []
    for entries in detections:
        found.append(defaultdict(list))
        for entry in entries:
            if entry["image_id"] in wanted and entry["score"] >= SCORE:
                found[-1][entry["image_id"]].append(entry)
    drawn = {}
    for place in _places(source, set(wanted), input_config):
        example = read_example(source, place, input_config)
        index = wanted[int(example.image_id)]
        height, width = example.image.shape[:2]
        results = [_result(of[int(example.image_id)], (height, width), source.categories) for of in found]
        drawn[index] = Pictures(
            image=index,
            truth=_sized(visualize.draw_example(example, source.categories)),
            found=tuple(_sized(visualize.draw(example.image, result, source.categories, score_threshold=SCORE)) for result in results),
        )
    return [drawn[i] for i in wanted.values()]


def _places(source: Source, ids: set[int], input_config: InputConfig) -> list[int]:
    """Where the images of these ids are in `source`; one that does not tell is read until all are found."""
    known = getattr(source, "image_ids", None)
    if known is not None:
        return [i for i, image_id in enumerate(known) if int(image_id) in ids]
    places: list[int] = []
    for i in range(len(source)):
        if len(places) == len(ids):
            break
        if int(read_example(source, i, input_config).image_id) in ids:
            places.append(i)
    return places


def _result(entries: Sequence[dict[str, Any]], size: tuple[int, int], categories: Sequence[Category]) -> Result:
    labels = {category.id: label for label, category in enumerate(categories, 1)}
    entries = sorted(entries, key=lambda entry: -entry["score"])
    corners = [(x, y, x + w, y + h) for x, y, w, h in (entry["bbox"] for entry in entries)]
    return Result(
        boxes=np.array(corners, np.float32).reshape(-1, 4),
        scores=np.array([entry["score"] for entry in entries], np.float32),
        labels=np.array([labels[entry["category_id"]] for entry in entries], np.int32),
        masks=[entry["segmentation"] for entry in entries],
        size=size,
    )


def _sized(picture: Picture) -> Picture:
    """No longer than `SIDE`."""
    factor = SIDE / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
