"""Squares in images of five channels and 16 bits."""

from dataclasses import replace

import numpy as np

from maskrcnn_jax.config import ExperimentConfig, InputConfig
from maskrcnn_jax.structs import Category, Example
from tests import tiny

INPUT = InputConfig(
    channels=5, dtype="uint16", mean=(9000.0,) * 5, std=(12000.0,) * 5, min_side=64, max_side=96, canvases=((64, 64), (64, 96))
)


def experiment(**train) -> ExperimentConfig:
    """One step of two images, of the smallest whole model."""
    config = tiny.experiment(
        model=replace(tiny.MODEL, num_classes=2, input=INPUT), **{"steps": 1, "batch_size": 2, "checkpoint_every": 1} | train
    )
    return replace(config, data=replace(config.data, kind="own"))


class Spectra:
    """What `tiny.Squares` are, with their colours in channels 1 and 4, over 255 and in the low bytes; 48 x 60 pixels."""

    categories = (Category(30, "one"), Category(20, "both"))

    def __init__(self, count: int) -> None:
        self._squares = tiny.Squares(count, (48, 60))
        self.sizes = self._squares.sizes

    def __len__(self) -> int:
        return len(self._squares)

    def __getitem__(self, i: int) -> Example:
        example = self._squares[i]
        image = np.full((48, 60, 5), 300 + i, np.uint16)
        image[..., [1, 4]] += 150 * example.image[..., :2].astype(np.uint16)
        return example._replace(image=image)
