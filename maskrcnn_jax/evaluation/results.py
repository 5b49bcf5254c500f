"""A `Result` <-> entries of COCO's results format, and the files they are written to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

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


def from_coco(entries: Sequence[dict[str, Any]], size: tuple[int, int], categories: Sequence[Category]) -> Result:
    """The detections of one image from COCO's results format, best first.

    Args:
      entries: as `to_coco` makes them, all of the image.
      size: its (height, width).
      categories: label k is `categories[k - 1]`; the `category_id` of each entry is one of theirs.
    """
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


def write_results(path: str | Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write detections of any number of images as one COCO results JSON file.

    Raises:
      OSError: the file cannot be written.
    """
    Path(path).write_text(json.dumps(list(entries)), encoding="utf-8")


class PredictionsFile:
    """What was found in images outside any dataset, as one COCO dataset JSON file that is written as results come.

    with PredictionsFile("predictions.json", categories) as predictions:
        predictions.add("a.png", result)

    `images` are numbered from 1 in their order, with `file_name`, `height` and `width`, and of a video's frames `frame_index`; an
    annotation is an entry of `to_coco` (`score` among it) with an `id` from 1 and `iscrowd` 0; `categories` are those of the model. The
    rows of images alone are held in memory. The file is begun with the first result and is whole JSON once the block is left, by an
    error too.
    """

    def __init__(self, path: str | Path, categories: Sequence[Category]) -> None:
        """Make nothing yet.

        Args:
          path: the file.
          categories: label k is `categories[k - 1]`.
        """
        self.path, self.categories = Path(path), tuple(categories)
        self._file: TextIO | None = None
        self._images: list[dict[str, Any]] = []
        self._annotations = 0

    def add(self, image: str | Path, result: Result, frame_index: int | None = None) -> None:
        """Add an image.

        Args:
          image: path of the image or video, as it shall be named.
          result: what was found in it.
          frame_index: of a frame of a video, counted from 0.

        Raises:
          OSError: the file cannot be written.
        """
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
            self._file.write('{"annotations": [')
        number = len(self._images) + 1
        row = {"id": number, "file_name": str(image), "height": result.size[0], "width": result.size[1]}
        self._images.append(row if frame_index is None else {**row, "frame_index": frame_index})
        for entry in to_coco(result, number, self.categories):
            self._file.write(", " if self._annotations else "")
            self._annotations += 1
            self._file.write(json.dumps({"id": self._annotations, "iscrowd": 0, **entry}))

    def __enter__(self) -> "PredictionsFile":
        """The writer."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the file."""
        if self._file is None:
            return
        categories = [{"id": category.id, "name": category.name} for category in self.categories]
        with self._file:
            self._file.write(f'], "images": {json.dumps(self._images)}, "categories": {json.dumps(categories)}}}')


def _text(counts: bytes | str) -> str:
    return counts.decode("ascii") if isinstance(counts, bytes) else counts
