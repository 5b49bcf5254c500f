"""Cost against work: the slope of time over images, and over pixels, both in logarithms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.networks import CATEGORIES, OBJECTS, Step, experiment
from benchmarks.reference import CLASSES, Dtype, example
from benchmarks.rows import Row, in_turn
from maskrcnn_jax import models
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.training.start import initial_state, initial_variables

SIDES, BATCHES = (416, 800, 1184), (1, 2, 4, 8)  # of square images, one a step; and of so many with the first side
TURNS = 3


def scaling(dtype: Dtype) -> Iterator[Row]:
    """1 is twice the time for twice the work; what does not grow with it brings the slope down."""
    for title, make in (("inference", _inference), ("training step", _training_step)):
        over = {"images": [(count, SIDES[0]) for count in BATCHES], "pixels": [(1, side) for side in SIDES]}
        sizes = list(dict.fromkeys(over["images"] + over["pixels"]))
        calls = [make(dtype, *size) for size in sizes]
        seconds = dict(zip(sizes, in_turn(*calls, repeats=TURNS), strict=True))
        for work, chosen in over.items():
            slopes = _slopes([count * side**2 for count, side in chosen], [seconds[size] for size in chosen])
            medians = ", ".join(f"{np.median(seconds[size]):.2f}" for size in chosen)
            told = f"{chosen[0]} ... {chosen[-1]} images and side: {medians} s"
            yield Row(f"slope over {work}, {title}, R50-FPN", slopes, [], "alone", told, "")


def _slopes(work: Sequence[float], seconds: Sequence[Sequence[float]]) -> list[float]:
    """Of each turn, the slope of log seconds over log work, by least squares."""
    return [float(np.polyfit(np.log(work), np.log(turn), 1)[0]) for turn in zip(*seconds, strict=True)]


def _inference(dtype: Dtype, count: int, side: int) -> Callable[[], Any]:
    config = experiment(dtype)
    model = models.build(_of_side(config.model, side))
    predictor = Predictor(model, initial_variables(model, config.train), CATEGORIES, batch_size=count)
    images = [picture(side, side, seed) for seed in range(count)]
    return lambda: predictor(images)


def _training_step(dtype: Dtype, count: int, side: int) -> Callable[[], Any]:
    config = experiment(dtype, count)
    examples = [example((side, side), OBJECTS, CLASSES, seed) for seed in range(count)]
    return Step(config, initial_state(models.build(config.model), config), examples)


def _of_side(config: ModelConfig, side: int) -> ModelConfig:
    """For images of that size as they are, and masks to paste whatever the weights."""
    own = replace(config.input, min_side=side, max_side=side)
    return replace(config, input=own, detect=replace(config.detect, score_threshold=0.0))
