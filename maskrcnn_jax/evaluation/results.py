"""A `Result` -> entries of COCO's results format, and the files they are written to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.structs import Category, Result


def to_coco(result: Result, image_id: int | np.integer, categories: Sequence[Category | None]) -> list[dict[str, Any]]:
    """The detections of one image in COCO's results format.

    Args:
      result: detections in the original image's pixels.
      image_id: the dataset's own id of the image.
      categories: label k is `categories[k - 1]`; detections of a label that has None are left out.

    Returns:
      One dict a detection, ready for JSON: `image_id`, `category_id` (the data's own), `bbox` (x, y, width, height in pixels,
      not rounded), `score`, `segmentation` (run-length encoding whose `counts` is a str).
    """
    entries = []
    for box, score, label, mask in zip(result.boxes, result.scores, result.labels, result.masks, strict=True):
        category = categories[int(label) - 1]
        if category is None:
            continue
        x0, y0, x1, y1 = (float(side) for side in box)
        entries.append(
            {
                "image_id": int(image_id),
                "category_id": int(category.id),
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


def write_predictions(path: str | Path, images: Sequence[str | Path], results: Sequence[Result], categories: Sequence[Category]) -> None:
    """Write what was found in images outside any dataset as one COCO dataset JSON file.

    `images` are numbered from 1 in their order, with `file_name`, `height` and `width`; an annotation is an entry of `to_coco`
    (`score` among it) with an `id` from 1 and `iscrowd` 0; `categories` are those of the model.

    Args:
      path: the file.
      images: path of each image, as it shall be named.
      results: of each image.
      categories: label k is `categories[k - 1]`.

    Raises:
      OSError: the file cannot be written.
    """
    rows = [
        {"id": i, "file_name": str(image), "height": result.size[0], "width": result.size[1]}
        for i, (image, result) in enumerate(zip(images, results, strict=True), 1)
    ]
    entries = [entry for i, result in enumerate(results, 1) for entry in to_coco(result, i, categories)]
    dataset = {
        "images": rows,
        "annotations": [{"id": i, "iscrowd": 0, **entry} for i, entry in enumerate(entries, 1)],
        "categories": [{"id": category.id, "name": category.name} for category in categories],
    }
    Path(path).write_text(json.dumps(dataset), encoding="utf-8")


def _text(counts: bytes | str) -> str:
    return counts.decode("ascii") if isinstance(counts, bytes) else counts
