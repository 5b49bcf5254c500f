"""What an evaluation shows: pictures of what the model finds."""

import numpy as np

from maskrcnn_jax import visualize
from maskrcnn_jax.data import Source
from maskrcnn_jax.inference import Predictor

COLUMNS = 2  # pairs of pictures in a row of the grid


def picture_grid(predictor: Predictor, source: Source, count: int) -> np.ndarray:
    """Ground truth beside detections for the first `count` images, one RGB picture."""
    images, truths = [], []
    for i in range(count):
        example = source[i]  # drawn at once, because the masks of many examples are large
        images.append(example.image)
        truths.append(visualize.draw_example(example, source.categories))
    pairs = [
        visualize.compare(truth, visualize.draw(image, result, predictor.categories))
        for truth, image, result in zip(truths, images, predictor(images), strict=True)
    ]
    return visualize.grid(pairs, COLUMNS)
