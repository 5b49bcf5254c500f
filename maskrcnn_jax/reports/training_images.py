"""What training sees: its own batches, drawn."""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from maskrcnn_jax import visualize
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import DataError, Source, example_of
from maskrcnn_jax.training import train_batches


class TrainingImage(NamedTuple):
    """An image of a training batch.

    step: counted from 1, as metrics do. position: in the batch. image_id: the dataset's own. picture: RGB, image, masks, boxes, names.
    objects: drawn, crowds among them. cut: objects beyond `data.max_objects`, left out. fault: of an image that could not be read and
    that this one stands in for, "" if there is none.
    """

    step: int
    position: int
    image_id: int
    picture: np.ndarray
    objects: int
    cut: int
    fault: str


def training_images(config: ExperimentConfig, source: Source, count: int) -> Iterator[TrainingImage]:
    """The first `count` images that a run of `config` trains on, after augmentation, each with what training is told of it.

    Args:
      config: the experiment; `data.workers` is not used.
      source: the training data; `open_source(config.data, "train", config.model.input)`, or one of the user's own.
      count: at least 1.

    Raises:
      DataError: an image cannot be used.
    """
    config = replace(config, data=replace(config.data, workers=0))
    return islice(_all(config, source, math.ceil(count / config.train.batch_size)), count)


def _all(config: ExperimentConfig, source: Source, steps: int) -> Iterator[TrainingImage]:
    with closing(train_batches(config, source, 0, steps)) as stream:
        for step, batch in enumerate(stream, start=1):
            if batch.void.any():
                raise DataError(str(batch.faults[0]))
            for row in range(len(batch.image)):
                shown = example_of(batch, row, config.model.input.dtype)
                picture = visualize.draw_example(shown, source.categories)
                cut, fault = int(batch.objects_cut[row]), str(batch.faults[row])
                yield TrainingImage(step, row, shown.image_id, picture, len(shown.labels), cut, fault)
