"""One image as a model's programs read it."""

from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import canvas_for, make_batch, resize, resized_size
from maskrcnn_jax.structs import Batch, Example


def batch_of(example: Example, config: ExperimentConfig, name: str) -> Batch:
    """A batch of `example` alone, resized as at inference; none of its objects is cut.

    Raises:
      DataError: the image, called `name`, fits no canvas of the config.
    """
    canvases, (height, width) = config.model.input, example.image.shape[:2]
    size = resized_size((height, width), canvases.min_side, canvases.max_side, canvases.resize)
    resized, canvas = resize(example, size, canvases.resize), canvas_for(size, canvases, name)
    return make_batch([resized], canvas, max_objects=max(1, len(example.labels)), mask_crop=config.data.mask_crop)
