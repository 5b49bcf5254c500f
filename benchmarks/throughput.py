"""Images a second of a GPU, each system at its best batch, and the share of the matrix units' peak.

`python -m benchmarks.throughput WORK SYSTEM DTYPE REPEATS` measures one system, `ours` or `theirs`, and prints JSON. Each has the GPU to
itself: what one process has taken of its memory, it does not give back.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.fresh import REPOSITORY
from benchmarks.networks import OBJECTS, Step, experiment, theirs_step
from benchmarks.reference import CLASSES, Dtype, Reference, config_of, example
from benchmarks.rows import Row, in_turn
from maskrcnn_jax import models, ops
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.training.step import init_state, make_step

SIZE, BATCHES = (800, 1344), (4, 8, 16)
TURNS = 2  # of a batch that may not be the best
PEAK = {"A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bfloat16 operations a second, as published
Call = Callable[[], Any]
WORKS = {"inference": "inference, masks pasted on the device", "step": "training step"}


def throughput(dtype: Dtype, repeats: int) -> Iterator[Row]:
    """Seconds an image, of inference and of a training step."""
    for work, title in WORKS.items():
        ours, theirs = (_in_own_process(work, system, dtype, repeats) for system in ("ours", "theirs"))
        rates = " and ".join(f"{1 / np.median(found['seconds']):.1f}" for found in (ours, theirs))
        note = f"{rates} images a second, batches of {ours['batch']} and {theirs['batch']}, one system after the other"
        share = ours["flops"] / np.median(ours["seconds"]) / _peak()
        name = f"{title}, R50-FPN, {SIZE[0]}x{SIZE[1]}, {dtype}, an image"
        yield Row(name, ours["seconds"], theirs["seconds"], "live", f"{note}; ours at {share:.0%} of the peak in bfloat16")


def _in_own_process(work: str, system: str, dtype: Dtype, repeats: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.throughput", work, system, dtype, str(repeats)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(work: str, system: str, dtype: Dtype, repeats: int) -> None:
    """Print the best batch, seconds an image of each turn with it, and operations an image of ours."""
    reference = Reference(dtype)
    makers: dict[tuple[str, str], Callable[[Reference, int], Call]] = {
        ("inference", "ours"): _inference,
        ("inference", "theirs"): _their_inference,
        ("step", "ours"): _training_step,
        ("step", "theirs"): _their_training_step,
    }
    make: Callable[[int], Call] = partial(makers[work, system], reference)
    batch = _best(make)
    ((*seconds,),) = in_turn(make(batch), repeats=repeats)
    flops = {"inference": _inference_flops, "step": _training_flops}[work](reference) if system == "ours" else None
    print(json.dumps({"batch": batch, "seconds": [own / batch for own in seconds], "flops": flops}))


def _best(make: Callable[[int], Call]) -> int:
    """The batch with the most images a second, up to what memory holds; of each only its time is kept."""
    found: dict[int, float] = {}
    for count in BATCHES:
        try:
            ((*seconds,),) = in_turn(make(count), repeats=TURNS)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "out of memory")):
                raise
            break
        found[count] = min(seconds) / count
    if not found:
        raise SystemExit(f"not even a batch of {BATCHES[0]} fits into the device's memory; end what else uses it")
    return min(found, key=lambda count: found[count])


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))  # type: ignore[arg-type]
