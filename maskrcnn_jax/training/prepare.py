"""What a run needs before its state: everything that reads and checks, and writes nothing."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax import models
from maskrcnn_jax.checkpoint import CheckpointError, latest_step
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import Source
from maskrcnn_jax.errors import first_few
from maskrcnn_jax.models import Model
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.inputs import checked_sources, train_batches
from maskrcnn_jax.training.manifest import manifest, require_free, require_same_config, require_same_data, require_writable
from maskrcnn_jax.training.placement import own_positions, train_mesh
from maskrcnn_jax.training.processes import ProcessError, gathered, in_all


class Prepared(NamedTuple):
    """What a run begins with.

    start: steps done so far. sources: training and validation data. about: what the manifest says of the run. model: on the run's
    mesh. stream: the batches to come.
    """

    start: int
    sources: tuple[Source, Source]
    about: dict[str, Any]
    model: Model
    stream: Generator[Batch, None, None]


def prepared(config: ExperimentConfig, run: Path, resume: bool, sources: tuple[Source, Source] | None) -> Prepared:
    """What the run begins with; every process must call it. Arguments and errors as `train` has them."""
    found = in_all(lambda: _of_this_process(config, run, resume, sources))
    _require_same(found.start)
    return found


def _of_this_process(config: ExperimentConfig, run: Path, resume: bool, sources: tuple[Source, Source] | None) -> Prepared:
    start = _start_step(run, config, resume)  # before the data are opened: a resumed run may not have been made with these
    opened = checked_sources(config, sources)
    about = manifest(config, *opened)
    if resume:
        require_same_data(run, about)
    mesh = train_mesh(config.train)
    positions = own_positions(mesh, config.train.batch_size)
    stream = train_batches(config, opened[0], start, config.train.steps, positions)  # data without objects end it here
    return Prepared(start, opened, about, models.build(config.model, mesh), stream)


def _start_step(run: Path, config: ExperimentConfig, resume: bool) -> int:
    """Steps done so far; 0 also for a run that was stopped before its first checkpoint."""
    require_writable(run)
    latest = latest_step(run)
    if resume:
        require_same_config(run, config)
    elif latest is not None:
        raise CheckpointError(f"{run}: already holds checkpoints up to step {latest}; add --resume to go on, or give another folder")
    else:
        require_free(run)
    return latest or 0


def _require_same(start: int) -> None:
    """Raise ProcessError where the processes of the run do not see the same checkpoints."""
    starts = gathered(start)
    if len(set(starts)) > 1:
        raise ProcessError(
            f"the processes see checkpoints of different steps, {first_few([str(step) for step in starts])}; give a run folder that all "
            "of them share"
        )
