"""Images a second of a GPU, each system at its best batch, and the share of the matrix units' peak."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.networks import OBJECTS, Step, experiment, theirs_step
from benchmarks.reference import CLASSES, Reference, config_of, example
from benchmarks.rows import Row, in_turn
from maskrcnn_jax import models, ops
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.training.step import init_state, make_step

SIZE, BATCHES = (800, 1344), (4, 8, 16)
TURNS = 2  # of a batch that may not be the best
PEAK = {"A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bfloat16 operations a second, as published
Call = Callable[[], Any]


def throughput(reference: Reference, repeats: int) -> Iterator[Row]:
    """Seconds an image of inference, up to masks pasted on the device, and of a training step."""
    whole = (
        ("inference", partial(_inference, reference), partial(_their_inference, reference), _inference_flops),
        ("training step", partial(_training_step, reference), partial(_their_training_step, reference), _training_flops),
    )
    for title, make_ours, make_theirs, flops in whole:
        (ours, count), (theirs, their_count) = _best(make_ours), _best(make_theirs)
        turns = in_turn(ours, theirs, repeats=repeats)
        mine, other = ([seconds / n for seconds in samples] for samples, n in zip(turns, (count, their_count), strict=True))
        rates = f"{1 / np.median(mine):.1f} and {1 / np.median(other):.1f} images a second, batches of {count} and {their_count}"
        share = flops(reference) / np.median(mine) / _peak()
        name = f"{title}, R50-FPN, {SIZE[0]}x{SIZE[1]}, {reference.dtype}, an image"
        yield Row(name, mine, other, "live", f"{rates}; ours at {share:.0%} of the peak in bfloat16")


def _best(make: Callable[[int], Call]) -> tuple[Call, int]:
    """The call for the batch with the most images a second, and that batch, up to what memory holds."""
    found: list[tuple[float, Call, int]] = []
    for count in BATCHES:
        try:
            call = make(count)
            ((*seconds,),) = in_turn(call, repeats=TURNS)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "out of memory")):
                raise
            break
        found.append((min(seconds) / count, call, count))
    _, call, count = min(found, key=lambda own: own[0])
    return call, count


def _peak() -> float:
    kind = jax.devices()[0].device_kind
    return next((value for name, value in PEAK.items() if name in kind), np.nan)


def _program(config: ModelConfig) -> Callable[..., Any]:
    model = models.build(config)
    paste = partial(ops.paste_masks, height=SIZE[0], width=SIZE[1], kind=config.paste.kind)

    def run(variables: Any, images: Any, sizes: Any) -> Any:
        found = model.predict(variables, images, sizes)
        return found, jax.vmap(paste)(found.masks, found.mask_frames) >= config.paste.threshold

    return run


def _arguments(reference: Reference, count: int) -> Any:
    images = np.stack([picture(*SIZE, seed) for seed in range(count)])
    return jax.device_put((reference.variables, images, np.array([SIZE] * count, np.int32)))


def _inference(reference: Reference, count: int) -> Call:
    run, arguments = jax.jit(_program(config_of(reference.dtype))), _arguments(reference, count)
    return lambda: jax.block_until_ready(run(*arguments))


def _inference_flops(reference: Reference) -> float:
    return _flops(_program(config_of(reference.dtype)), *_arguments(reference, 1))


def _their_inference(reference: Reference, count: int) -> Call:
    images = [reference.image(picture(*SIZE, seed)) for seed in range(count)]

    def run() -> Any:
        with reference.torch.inference_mode():
            return reference.model(images)

    return reference.waited(run)


def _training_step(reference: Reference, count: int) -> Step:
    config = experiment(reference.dtype, count)
    state = init_state(reference.variables, models.build(config.model), config)
    return Step(config, state, _examples(count))


def _training_flops(reference: Reference) -> float:
    config, step = experiment(reference.dtype), _training_step(reference, 1)
    return _flops(make_step(models.build(config.model), config), step.state, step.batch)


def _their_training_step(reference: Reference, count: int) -> Call:
    return theirs_step(reference, copy.deepcopy(reference.model), _examples(count))


def _examples(count: int) -> list[Any]:
    return [example(SIZE, OBJECTS, CLASSES, seed) for seed in range(count)]


def _flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Of one call, before the compiler hides products in calls of its libraries."""
    analysis: Any = jax.jit(function).lower(*arguments).cost_analysis()
    return float(analysis["flops"])
