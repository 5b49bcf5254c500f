"""What a run would take, without running it."""

import statistics
import time

import jax
from rich.console import Console
from rich.table import Table

from maskrcnn_jax import models
from maskrcnn_jax.config import ExperimentConfig, TrainConfig
from maskrcnn_jax.data import DataError, Source
from maskrcnn_jax.models import Model
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.inputs import checked_sources, train_batches
from maskrcnn_jax.training.placement import own_positions, to_devices, train_mesh
from maskrcnn_jax.training.start import initial_state
from maskrcnn_jax.training.step import split_frozen

TIMED_STEPS = 3


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
    steps = CompiledSteps(model, config, lambda canvas: out.print(f"compiling the step for {canvas[0]} x {canvas[1]}"))
    first = next(train_batches(config, train_source, 0, 1, own_positions(model.mesh, config.train.batch_size)))
    if first.void.any():
        raise DataError(str(first.faults[0]))
    batch = to_devices(first, model.mesh)
    program = steps.program(state, batch)
    memory = program.memory_analysis()
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, batch))
        seconds.append(time.perf_counter() - start)
    step_seconds = statistics.median(seconds)
    out.print(f"compile: {steps.seconds:.1f} s for this canvas")
    out.print(
        f"memory of the step: {(memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 2**20:,.0f} MiB (state, batch, temporaries)"
    )
    out.print(
        f"time: {step_seconds:.3f} s a step (median of {TIMED_STEPS} on one batch, without reading data), "
        f"{duration(step_seconds * config.train.steps)} for {config.train.steps:,} steps without evaluation"
    )


def duration(seconds: float) -> str:
    """In the unit that suits, such as "42.0 s", "12.5 min", "3.5 h" or "2.1 days"."""
    for unit, length, limit in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48)):
        if round(seconds / length, 1) < limit:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"


def parameter_table(params: dict, model: Model, config: TrainConfig) -> Table:
    """Parameters of each module, trained and frozen."""
    trained, frozen = split_frozen(params, model, config)
    table = Table("module", title="parameters")
    for title in ("trained", "frozen"):
        table.add_column(title, justify="right")
    for module in (*params, None):
        counts = [
            sum(value.size for path, value in part.items() if module is None or path.split("/")[0] == module) for part in (trained, frozen)
        ]
        table.add_row(module or "all", *(f"{count:,}" for count in counts), end_section=module == list(params)[-1])
    return table
