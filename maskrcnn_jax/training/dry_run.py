"""What a run would take, without running it."""

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from maskrcnn_jax import models
from maskrcnn_jax.config import ExperimentConfig, TrainConfig
from maskrcnn_jax.data import DataError, Source
from maskrcnn_jax.models import Model
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.inputs import checked_sources, make_plan, train_batches
from maskrcnn_jax.training.placement import own_positions, to_devices, train_mesh
from maskrcnn_jax.training.start import initial_state
from maskrcnn_jax.training.step import TrainState, split_frozen

TIMED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What one training step takes on the devices at hand.

    canvas: (height, width), pixels, the largest of the first epoch. memory: bytes of state, batch and temporaries together.
    limit: bytes that one device has, None where it does not tell. seconds: median of a few steps on one batch, without reading data;
    None where the step does not fit, and was not run.
    """

    canvas: tuple[int, int]
    compile_seconds: float
    memory: int
    limit: int | None
    seconds: float | None


def dry_run(config: ExperimentConfig, *, sources: tuple[Source, Source] | None = None, console: Console | None = None) -> None:
    """Print the parameter table, compile the step, run it a few times, and print memory and an estimate of the time.

    Args:
      config: the experiment.
      sources: training and validation data; None opens what `config.data` names.
      console: where to print; None is the terminal.

    Raises:
      What `train` raises before its first step.
    """
    out = console or Console()
    train_source, _ = checked_sources(config, sources)
    model = models.build(config.model, train_mesh(config.train))
    state = initial_state(model, config)
    out.print(parameter_table(state.params, model, config.train))
    cost = step_cost(model, state, config, train_source, lambda canvas: out.print(f"compiling the step for {canvas[0]} x {canvas[1]}"))
    out.print(f"compile: {cost.compile_seconds:.1f} s for this canvas")
    out.print(f"memory of the step: {cost.memory / 2**20:,.0f} MiB (state, batch, temporaries)")
    if cost.seconds is None:
        out.print(f"more than the {(cost.limit or 0) / 2**20:,.0f} MiB that a device has, so it is not run; lower train.batch_size")
        return
    out.print(
        f"time: {cost.seconds:.3f} s a step (median of {TIMED_STEPS} on one batch, without reading data), "
        f"{duration(cost.seconds * config.train.steps)} for {config.train.steps:,} steps without evaluation"
    )


def step_cost(
    model: Model, state: TrainState, config: ExperimentConfig, source: Source, on_compile: Callable[[tuple[int, int]], None]
) -> StepCost:
    """Compile the step for the largest canvas of the first epoch, and run it a few times where it fits; `state` is used up.

    Raises:
      DataError: the batch cannot be made.
    """
    plan = make_plan(config, source)
    step = max(range(plan.steps_per_epoch), key=lambda step: math.prod(plan(step)[0]))
    first = next(train_batches(config, source, step, step + 1, own_positions(model.mesh, config.train.batch_size)))
    if first.void.any():
        raise DataError(str(first.faults[0]))
    steps, batch = CompiledSteps(model, config, on_compile), to_devices(first, model.mesh)
    program = steps.program(state, batch)
    analysis = program.memory_analysis()
    memory, limit = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes, device_memory()
    seconds = None if limit is not None and memory > limit else _timed(program, state, batch)
    return StepCost(canvas=plan(step)[0], compile_seconds=steps.seconds, memory=memory, limit=limit, seconds=seconds)


def device_memory() -> int | None:
    """Bytes that the first device has: what an accelerator lets programs take, or the machine's memory; None where neither is told."""
    statistics_of_device = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics_of_device:
        return int(statistics_of_device["bytes_limit"])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _timed(program: Any, state: TrainState, batch: Batch) -> float:
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, batch))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def duration(seconds: float) -> str:
    """In the unit that suits, such as "42.0 s", "12.5 min", "3.5 h" or "2.1 days"."""
    for unit, length, limit in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48)):
        if round(seconds / length, 1) < limit:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"


def parameter_table(params: dict, model: Model, config: TrainConfig) -> Table:
    """Parameters of each module, trained and frozen."""
    table = Table("module", title="parameters")
    for title in ("trained", "frozen"):
        table.add_column(title, justify="right")
    counts = parameter_counts(params, model, config, lambda path: path[0])
    for module in params:
        table.add_row(module, *(f"{count:,}" for count in counts[module]), end_section=module == list(params)[-1])
    table.add_row("all", *(f"{sum(column):,}" for column in zip(*counts.values(), strict=True)))
    return table


def parameter_counts(
    params: dict, model: Model, config: TrainConfig, group: Callable[[tuple[str, ...]], str]
) -> dict[str, tuple[int, int]]:
    """How many numbers are trained and frozen in each group of parameters; `group` names that of a path (module, layer, ...)."""
    counts: dict[str, tuple[int, int]] = {}
    trained, frozen = split_frozen(params, model, config)
    for path, value in (trained | frozen).items():
        name = group(tuple(path.split("/")))
        before = counts.get(name, (0, 0))
        counts[name] = (before[0] + value.size * (path in trained), before[1] + value.size * (path in frozen))
    return counts
