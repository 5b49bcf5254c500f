"""What an evaluation shows: pictures of what the model finds."""

from math import isqrt

import numpy as np

from maskrcnn_jax import evaluation, visualize
from maskrcnn_jax.data import Source
from maskrcnn_jax.training.validate import Evaluation

SIDE = 640
"""Long side of a picture, pixels, at most: the grid grows with their number, whatever the images are."""


def picture_grid(source: Source, result: Evaluation, count: int) -> np.ndarray:
    """Ground truth beside detections for the first `count` images of an evaluation, one RGB picture.

    Args:
      source: what was evaluated, of which these images are read again, one at a time.
      result: the evaluation; detections of classes that the source does not have are in neither.
      count: at most as many as were evaluated.
    """
    images = result.ground_truth["images"][:count]
    found: dict[int, list] = {image["id"]: [] for image in images}
    for entry in result.detections:
        if entry["image_id"] in found:
            found[entry["image_id"]].append(entry)
    pairs = [_pair(source, i, found[image["id"]]) for i, image in enumerate(images)]
    return visualize.grid(pairs, max(2, isqrt(count) // 2))  # two for 16 and fewer; no JPEG is 65,500 high


def _pair(source: Source, index: int, entries: list[dict]) -> np.ndarray:
    example = source[index]
    detections = evaluation.from_coco(entries, (example.image.shape[0], example.image.shape[1]), source.categories)
    drawn = visualize.draw_example(example, source.categories), visualize.draw(example.image, detections, source.categories)
    return visualize.compare(*(visualize.shrink(picture, SIDE) for picture in drawn))
