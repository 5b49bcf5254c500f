"""A loss or gradient that is not finite: what is kept of it, and how it is looked at again."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.checkpoint import CheckpointError, CheckpointWriter
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.structs import Batch, Category, Instances
from maskrcnn_jax.training.compiled import jit_once
from maskrcnn_jax.training.placement import to_devices, train_mesh
from maskrcnn_jax.training.step import StepMetrics, TrainState, make_step
from maskrcnn_jax.training.stored import load_state, save_state

FOLDER = "nonfinite"  # in a run folder
TERMS = ("rpn_class", "rpn_box", "class", "box", "mask", "grad_norm")  # in the order in which they are computed
# Of a training trace, what is computed from images and parameters and has no padding, in the order of the walk.
WALK = ("features", "box_features", "class_logits", "box_deltas", "mask_features", "mask_logits")


class NonFiniteError(UserError, FloatingPointError):
    """Losses or gradients of several steps in a row were not finite; the message names the last step, its first bad term and its images."""


class Dump(NamedTuple):
    """What `dump` has written: the state before a step, and the step's batch on the host."""

    config: ExperimentConfig
    model: models.Model
    state: TrainState
    batch: Batch


class Replay(NamedTuple):
    """A step computed again.

    step: its number. image_ids: of its images. metrics: as in training. term: the first of them that is not finite, or None.
    """

    step: int
    image_ids: list[int]
    metrics: dict[str, float]
    term: str | None


def first_bad(values: dict[str, float]) -> str | None:
    """The first term that is not finite, in the order in which they are computed."""
    return next((name for name in TERMS if not np.isfinite(values[name])), None)


def dump(run_dir: Path, step: int, state: TrainState, batch: Batch, config: ExperimentConfig, categories: tuple[Category, ...]) -> Path:
    """Write a step's batch and the state before it; the folder. Every process must call it with its own part of the batch.

    Args:
      run_dir: the run folder.
      step: number of the step, from 1.
      state: before the step; of its `step` and `nonfinite` nothing is assumed.
      batch: on the host.
      config: the experiment.
      categories: of its data.
    """
    folder = run_dir / FOLDER / f"step_{step}"
    if checkpoint.latest_step(folder) is not None:
        return folder  # of the same run before it was resumed: the same step
    folder.mkdir(parents=True, exist_ok=True)
    arrays = batch._asdict() | {f"instances.{name}": value for name, value in batch.instances._asdict().items()}
    del arrays["instances"]
    np.savez(folder / f"batch_{jax.process_index()}.npz", processes=jax.process_count(), **arrays)
    writer = CheckpointWriter(folder, config, categories)
    before = jax.device_put((jnp.int32(step - 1), jnp.int32(0)), (state.step.sharding, state.nonfinite.sharding))
    save_state(writer, step - 1, state._replace(step=before[0], nonfinite=before[1]), None)
    writer.close()
    return folder


def read_dump(folder: str | Path) -> Dump:
    """What was dumped into `folder`, on one device.

    Raises:
      CheckpointError: `folder` is no such dump.
    """
    path = Path(folder)
    step = checkpoint.latest_step(path)
    if step is None or not (path / "batch_0.npz").is_file():
        raise CheckpointError(f"{path}: not the dump of a step; give a folder step_N under {FOLDER}/ of a run folder")
    config = checkpoint.load(path).config
    model = models.build(config.model)
    return Dump(config, model, load_state(path, step, model, config), _read(path))


def replay(dumped: Dump, accumulate: int | None = None) -> Replay:
    """Compute a step again.

    Args:
      dumped: the step.
      accumulate: parts to compute the batch in; None: as many as in training, which may have had several devices for each.

    Raises:
      ConfigError: the batch cannot be computed in so many parts.
    """
    parts = dumped.config.train.accumulate if accumulate is None else accumulate
    train = replace(dumped.config.train, accumulate=parts, devices=1)
    batch = to_devices(dumped.batch, train_mesh(train))
    step = jit_once(make_step(dumped.model, replace(dumped.config, train=train)))
    metrics: StepMetrics = jax.device_get(step(dumped.state, batch)[1])
    values = {name: float(value) for name, value in metrics.items()}
    return Replay(int(dumped.state.step) + 1, dumped.batch.image_ids.tolist(), values, first_bad(values))


def first_bad_array(dumped: Dump) -> str | None:
    """The first array of the model's walk that is not finite, and its image; None where all are.

    Image by image, so that no more memory is taken than one needs; a batch norm that is trained sees that image alone.
    """
    state, batch = dumped.state, dumped.batch
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    trace = jit_once(dumped.model.trace_train)
    for row, image_id in enumerate(batch.image_ids):
        one = to_devices(jax.tree.map(lambda x, row=row: x[row : row + 1], batch), dumped.model.mesh)
        walk = trace(variables, one, jax.random.fold_in(state.key, state.step))
        for name in WALK:
            for path, value in jax.tree_util.tree_leaves_with_path(getattr(walk, name)):
                if not np.isfinite(value).all():
                    return f"{name}{jax.tree_util.keystr(path)} of image id {image_id}"
    return None


def _read(folder: Path) -> Batch:
    """The global batch from its processes' parts, in the order of their positions."""
    parts: list[dict[str, np.ndarray]] = []
    while not parts or len(parts) < parts[0]["processes"]:
        with np.load(folder / f"batch_{len(parts)}.npz") as arrays:
            parts.append(dict(arrays))
    order = np.argsort(np.concatenate([part["positions"] for part in parts]), kind="stable")
    whole: dict[str, Any] = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0] if name != "processes"}
    instances = Instances(*(whole.pop(f"instances.{name}") for name in Instances._fields))
    return Batch(instances=instances, **whole)
