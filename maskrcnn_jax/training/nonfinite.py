"""A loss or gradient that is not finite: what is kept of it, and how it is looked at again."""

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
from maskrcnn_jax.training.placement import to_devices
from maskrcnn_jax.training.step import StepMetrics, TrainState, make_step
from maskrcnn_jax.training.stored import load_state, save_state

FOLDER = "nonfinite"  # in a run folder
TERMS = ("rpn_class", "rpn_box", "class", "box", "mask", "grad_norm")  # in the order in which they are computed
# Of a training trace, what is computed from images and parameters and has no padding, in the order of the walk.
WALK = ("features", "box_features", "class_logits", "box_deltas", "mask_features", "mask_logits")


class NonFiniteError(UserError, FloatingPointError):
    """Losses or gradients of several steps in a row were not finite; the message names the last step, its first bad term and its images."""


class Replay(NamedTuple):
    """A step looked at again.

    step: its number. image_ids: of its images. metrics: as in training. term: the first of them that is not finite, or None.
    array: path of the first array of the walk that is not finite, or None.
    """

    step: int
    image_ids: list[int]
    metrics: dict[str, float]
    term: str | None
    array: str | None


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


def replay(folder: str | Path) -> Replay:
    """Compute the step that was dumped into `folder` again, on one device.

    Raises:
      CheckpointError: `folder` is no such dump.
    """
    path = Path(folder)
    step = checkpoint.latest_step(path)
    if step is None or not (path / "batch_0.npz").is_file():
        raise CheckpointError(f"{path}: not the dump of a step; give a folder step_N under {FOLDER}/ of a run folder")
    config = checkpoint.load(path).config
    model = models.build(config.model)
    state, batch = load_state(path, step, model, config), _read(path)
    on_device = to_devices(batch, model.mesh)
    metrics: StepMetrics = jax.device_get(jit_once(make_step(model, config))(state, on_device)[1])
    values = {name: float(value) for name, value in metrics.items()}
    return Replay(step + 1, batch.image_ids.tolist(), values, first_bad(values), _first_bad_array(model, state, on_device))


def _first_bad_array(model: models.Model, state: TrainState, batch: Batch) -> str | None:
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    trace = jit_once(model.trace_train)(variables, batch, jax.random.fold_in(state.key, state.step))
    for name in WALK:
        for path, value in jax.tree_util.tree_leaves_with_path(getattr(trace, name)):
            if not np.isfinite(value).all():
                return name + jax.tree_util.keystr(path)
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
