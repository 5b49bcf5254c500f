"""Images a second of a GPU, each system at its best batch, the share of the matrix units' peak, and the kernels that cost most.

`python -m benchmarks.throughput WORK SYSTEM DTYPE REPEATS` measures one system, `ours` or `theirs`, and prints JSON. What one process has
taken of a GPU's memory, it does not give back: so each system has a process of its own, and they come before all other parts.
"""

import copy
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.fresh import REPOSITORY
from benchmarks.networks import OBJECTS, Step, experiment, theirs_step
from benchmarks.reference import CLASSES, Dtype, Reference, config_of, example
from benchmarks.rows import Row, in_turn
from maskrcnn_jax import models, ops
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.training.step import init_state, make_step

SIZE, FIRST = (800, 1344), 8  # and the smallest batch
TRACED, LARGEST = 3, 5  # calls, and kernels told of them
PEAK = {"A100": 312e12, "H100 80GB HBM3": 989e12, "H200": 989e12}  # dense bfloat16 operations a second, as published; H100 SXM
Call = Callable[[], Any]
WORKS = {"inference": "inference, masks pasted on the device", "step": "training step"}


def throughput(dtype: Dtype, repeats: int) -> Iterator[Row]:
    """Seconds an image, of inference and of a training step."""
    for work, title in WORKS.items():
        ours, theirs = (_in_own_process(work, system, dtype, repeats) for system in ("ours", "theirs"))
        rates = " and ".join(f"{1 / np.median(found['seconds']):.1f}" for found in (ours, theirs))
        told = [f"{rates} images a second, batches of {ours['batch']} and {theirs['batch']}, one system after the other"]
        if (peak := _peak()) is not None:
            told.append(f"ours at {ours['flops'] / np.median(ours['seconds']) / peak:.0%} of the peak in bfloat16")
        told.append("ours spends most in " + ", ".join(f"{name} ({share:.0%})" for name, share in ours["kernels"]))
        yield Row(f"{title}, R50-FPN, {SIZE[0]}x{SIZE[1]}, {dtype}, an image", ours["seconds"], theirs["seconds"], "live", "; ".join(told))


def _in_own_process(work: str, system: str, dtype: Dtype, repeats: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.throughput", work, system, dtype, str(repeats)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(work: str, system: str, dtype: Dtype, repeats: int) -> None:
    """Print the best batch, and seconds an image of each turn with it; of ours operations an image and the largest kernels, too."""
    use_compilation_cache()  # the best batch is compiled twice
    reference = Reference(dtype)
    makers: dict[tuple[str, str], Callable[[Reference, int], Call]] = {
        ("inference", "ours"): _inference,
        ("inference", "theirs"): _their_inference,
        ("step", "ours"): _training_step,
        ("step", "theirs"): _their_training_step,
    }
    make: Callable[[int], Call] = partial(makers[work, system], reference)
    batch, seconds = _best(make, repeats)
    found: dict[str, Any] = {"batch": batch, "seconds": seconds}
    if system == "ours":
        found |= {"flops": {"inference": _inference_flops, "step": _training_flops}[work](reference), "kernels": _traced(make(batch))}
    print(json.dumps(found))


def _best(make: Callable[[int], Call], repeats: int) -> tuple[int, list[float]]:
    """The batch with the most images a second, and seconds an image of its turns; doubled until there are no more, or memory ends."""
    best: tuple[int, list[float]] | None = None
    count = FIRST
    while True:
        try:
            ((*seconds,),) = in_turn(make(count), repeats=repeats)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "out of memory")):
                raise
            break
        found = count, [own / count for own in seconds]
        if best is not None and np.median(found[1]) >= np.median(best[1]):
            break
        best, count = found, 2 * count
    if best is None:
        raise SystemExit(f"not even a batch of {FIRST} fits into the device's memory; end what else uses it")
    return best


def _traced(call: Call) -> list[tuple[str, float]]:
    """`largest` of a few calls."""
    call()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(TRACED):
                call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        return largest(jax.profiler.ProfileData.from_file(str(path)))


def largest(profile: Any) -> list[tuple[str, float]]:
    """The kernels of a GPU's streams that took most time, and their shares of what all took."""
    spent: Counter[str] = Counter()
    for plane in profile.planes:
        if plane.name.startswith("/device:"):
            for line in plane.lines:
                if line.name.startswith("Stream"):
                    for event in line.events:
                        spent[event.name] += event.duration_ns
    return [(name, value / spent.total()) for name, value in spent.most_common(LARGEST)]


def _peak() -> float | None:
    """Of the GPU, where it is known."""
    kind = jax.devices()[0].device_kind
    return next((value for name, value in PEAK.items() if name in kind), None)


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
