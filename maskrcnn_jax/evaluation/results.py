"""A `Result` -> entries of COCO's results format, and the file they are written to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.structs import Category, Result


def to_coco(result: Result, image_id: int | np.integer, categories: Sequence[Category]) -> list[dict[str, Any]]:
    """The detections of one image in COCO's results format.

    Args:
      result: detections in the original image's pixels.
      image_id: the dataset's own id of the image.
      categories: label k is `categories[k - 1]`.

    Returns:
      One dict a detection, ready for JSON: `image_id`, `category_id` (the data's own), `bbox` (x, y, width, height in pixels,
      not rounded), `score`, `segmentation` (run-length encoding whose `counts` is a str).
    """
    entries = []
    for box, score, label, mask in zip(result.boxes, result.scores, result.labels, result.masks, strict=True):
        x0, y0, x1, y1 = (float(side) for side in box)
        entries.append(
            {
                "image_id": int(image_id),
                "category_id": int(categories[int(label) - 1].id),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": float(score),
                "segmentation": {"size": [int(side) for side in mask["size"]], "counts": _text(mask["counts"])},
            }
        )
    return entries


def write_results(path: str | Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write detections of any number of images as one COCO results JSON file.

    Raises:
      OSError: the file cannot be written.
    """
    Path(path).write_text(json.dumps(list(entries)), encoding="utf-8")


def _text(counts: bytes | str) -> str:
    return counts.decode("ascii") if isinstance(counts, bytes) else counts
