"""The worst images: ground truth beside what each model finds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax import visualize
from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import Source, read_example
from maskrcnn_jax.evaluation import from_coco
from maskrcnn_jax.reports.model_report.report import SCORE, Report

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
        results = [from_coco(of[int(example.image_id)], (height, width), source.categories) for of in found]
        drawn[index] = Pictures(
            image=index,
            truth=visualize.shrink(visualize.draw_example(example, source.categories), SIDE),
            found=tuple(
                visualize.shrink(visualize.draw(example.image, result, source.categories, score_threshold=SCORE), SIDE)
                for result in results
            ),
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
