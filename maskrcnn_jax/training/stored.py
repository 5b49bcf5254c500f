"""A training state in a checkpoint, and back."""

from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.checkpoint import CheckpointWriter, load_train
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.models import Model
from maskrcnn_jax.training.start import state_shapes
from maskrcnn_jax.training.step import TrainState, averaged_variables


def save_state(writer: CheckpointWriter, step: int, state: TrainState, mask_ap: float | None) -> None:
    """Write the checkpoint of `step`: the model is what was evaluated, with the moving average where there is one."""
    writer.save(step, averaged_variables(state), _rest(state), mask_ap)


def load_state(run_dir: Path, step: int, model: Model, config: ExperimentConfig) -> TrainState:
    """The state after `step` steps, on the mesh of `model`, whatever mesh it was saved from.

    Raises:
      CheckpointError: the checkpoint has other shapes, or is not whole.
    """
    shapes = state_shapes(model, config)
    variables, rest = load_train(run_dir, step, averaged_variables(shapes), _rest(shapes))
    flat, latest = flatten_dict(variables["params"], sep="/"), rest.pop("latest")
    return TrainState(
        params=unflatten_dict(flat | latest, sep="/"),
        batch_stats=variables["batch_stats"],
        average={path: flat[path] for path in latest},
        **rest,
    )


def _rest(state: TrainState) -> dict[str, Any]:
    """What the model's variables do not say; `latest` are the parameters that `average` stands in for."""
    params = flatten_dict(state.params, sep="/")
    return {
        "step": state.step,
        "opt_state": state.opt_state,
        "latest": {path: params[path] for path in state.average},
        "nonfinite": state.nonfinite,
        "key": state.key,
    }
