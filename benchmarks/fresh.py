"""What needs a process of its own: compile time, and peak memory.

`python -m benchmarks.fresh PROGRAM SYSTEM SINCE` runs a program of a system, `ours` or `theirs`, twice, and prints as JSON what a call
compiled (seconds by which the first took longer), what passed since the time SINCE until it could run, and the peak of memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from benchmarks.networks import CATEGORIES, OBJECTS, Step, experiment, theirs_step
from benchmarks.reference import CLASSES, SIZE, Dtype, Reference, config_of, detector, example
from benchmarks.rows import Row
from maskrcnn_jax import models
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.config import TrainConfig
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.training.start import initial_state, initial_variables

REPOSITORY = Path(__file__).resolve().parent.parent
CACHING = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")  # the user's wishes would make other rows of these
PROGRAMS = {"training step": "training step, R50-FPN, 800x1088", "inference": "inference, R50-FPN, 800x1088"}


def compile_times(dtype: Dtype) -> Iterator[Row]:
    """Cold, with the persistent cache empty; and the second start, which finds what the first one left there."""
    for program, title in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as cache:
            first, second = (_run(program, "ours", dtype, MASKRCNN_CACHE=cache) for _ in range(2))
        yield Row(f"compile, {title}, cold", [first["compile"]], [], "alone")
        yield Row(f"compile, {title}, from the cache", [second["compile"]], [], "alone")
        yield Row(
            f"second start, {title}", [second["ready"]], [], "alone", "from the command until it could run: imports, weights, program"
        )


def memory(dtype: Dtype) -> Iterator[Row]:
    """Peak of a training step."""
    with tempfile.TemporaryDirectory() as cache:  # empty, so that ours compiles
        ours, theirs = (_run("training step", system, dtype, MASKRCNN_CACHE=cache)["peak"] for system in ("ours", "theirs"))
    what = "device memory" if jax.default_backend() != "cpu" else "resident memory of the process, own imports and compilation included"
    note = f"{what}; torchvision's RoIAlign, where it is not compiled, is zeros of the same shape"
    yield Row(f"peak memory, {PROGRAMS['training step']}, one image", [ours], [theirs], "live", note, "MiB")


def _run(program: str, system: str, dtype: Dtype, **environment: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.fresh", program, system, dtype, repr(time.time())]
    inherited = {name: value for name, value in os.environ.items() if name not in CACHING}
    done = subprocess.run(command, cwd=REPOSITORY, env=inherited | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(program: str, system: str, dtype: Dtype, since: float) -> None:
    """Run it and print."""
    use_compilation_cache()
    call, peak = (_ours if system == "ours" else _theirs)(program, dtype)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            done = time.time()
    print(json.dumps({"compile": seconds[0] - seconds[1], "ready": done - since - seconds[1], "peak": peak()}))


def _ours(program: str, dtype: Dtype) -> tuple[Callable[[], Any], Callable[[], float]]:
    if program == "inference":
        config = config_of(dtype)
        # Random weights are sure of nothing; and with no detection nothing would be pasted.
        model = models.build(replace(config, detect=replace(config.detect, score_threshold=0.0)))
        predictor, image = Predictor(model, initial_variables(model, TrainConfig()), CATEGORIES), picture(*SIZE, 0)
        call: Callable[[], Any] = lambda: predictor([image])  # noqa: E731
    else:
        whole = experiment(dtype)
        call = Step(whole, initial_state(models.build(whole.model), whole), [example(SIZE, OBJECTS, CLASSES, 0)])
    return call, lambda: _resident() if jax.default_backend() == "cpu" else jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20


def _theirs(program: str, dtype: Dtype) -> tuple[Callable[[], Any], Callable[[], float]]:
    before, reference = _resident(), Reference(dtype)  # before PyTorch is imported: what JAX and this package have taken
    if not reference.compiled:
        _without_roi_align(reference)
    step = theirs_step(reference, detector(reference, "resnet50", CLASSES + 1), [example(SIZE, OBJECTS, CLASSES, 0)])
    return step, lambda: _resident() - before if reference.device == "cpu" else reference.torch.cuda.max_memory_allocated() / 2**20


def _without_roi_align(reference: Reference) -> None:
    """Its fallback in Python keeps a hundred times what the compiled operator does; this one allocates what that does."""

    class Zeros(reference.torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(ctx: Any, features: Any, rois: Any, size: Any) -> Any:
            ctx.shape = features.shape
            return features.new_zeros(len(rois), features.shape[1], *size)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient.new_zeros(ctx.shape), None, None

    reference.torchvision.ops.poolers.roi_align = lambda features, rois, output_size, **_: Zeros.apply(features, rois, output_size)


def _resident() -> float:
    """MiB of this program; `getrusage` would count what its parent had."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith("VmHWM")) / 2**10


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))  # type: ignore[arg-type]
