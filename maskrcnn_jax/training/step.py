"""One training step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.models import DATA_AXIS, Model
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.optimizer import Flat, learning_rate, make_optimizer

StepMetrics = dict[str, Array]


class TrainState(NamedTuple):
    """Everything that a step changes, and the key it draws from.

    step: int32[], steps done. params, batch_stats: the model's variables. opt_state: of the trained parameters alone.
    key: of the run; step s uses fold_in(key, s).
    """

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: Array


def init_state(variables: dict[str, Any], model: Model, config: ExperimentConfig) -> TrainState:
    """The state before the first step.

    Args:
      variables: parameters and statistics to start from.
      model: says which parameters are frozen.
      config: optimizer and seed.
    """
    trained, _ = split_frozen(variables["params"], model)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=make_optimizer(config.optimizer, config.train.steps).init(trained),
        key=jax.random.key(config.train.seed),
    )


def make_step(model: Model, config: ExperimentConfig) -> Callable[[TrainState, Batch], tuple[TrainState, StepMetrics]]:
    """The function of one step, to be compiled: state and batch to state and metrics.

    Metrics are float32[]: the five losses by name, their sum `loss`, `grad_norm` before clipping, `learning_rate`, and
    `objects_cut`, ground truth left out of the batch for lack of capacity.
    """
    optimizer = make_optimizer(config.optimizer, config.train.steps)
    rate = learning_rate(config.optimizer, config.train.steps)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        trained, frozen = split_frozen(state.params, model)
        key = jax.random.fold_in(state.key, state.step)

        def total(trained: Flat) -> tuple[Array, tuple[StepMetrics, Any]]:
            params = unflatten_dict(trained | frozen, sep="/")
            losses, batch_stats = model.losses({"params": params, "batch_stats": state.batch_stats}, batch, key)
            values = {name: ratio_value(ratio) for name, ratio in losses.items()}
            return sum(values.values(), jnp.zeros(())), (values, batch_stats)

        (loss, (values, batch_stats)), gradients = jax.value_and_grad(total, has_aux=True)(trained)
        updates, opt_state = optimizer.update(gradients, state.opt_state, trained)
        params = unflatten_dict(dict(optax.apply_updates(trained, updates)) | frozen, sep="/")
        metrics = values | {
            "loss": loss,
            "grad_norm": optax.tree.norm(gradients),
            "learning_rate": rate(state.step),
            "objects_cut": jnp.sum(batch.objects_cut).astype(jnp.float32),
        }
        return TrainState(state.step + 1, params, batch_stats, opt_state, state.key), metrics

    return step


def to_devices(batch: Batch, mesh: Mesh) -> Batch:
    """A host batch spread over the mesh's axis `data`, without what only the host reads."""
    return jax.device_put(batch._replace(image_ids=None), NamedSharding(mesh, PartitionSpec(DATA_AXIS)))


def replicated(tree: Any, mesh: Mesh) -> Any:
    """The tree with every array on all devices of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_frozen(params: Any, model: Model) -> tuple[Flat, Flat]:
    """Parameters that are trained and parameters that are not, both flat with keys `module/layer/name`."""
    flat = flatten_dict(params, sep="/")
    frozen = {path: value for path, value in flat.items() if model.is_frozen(tuple(path.split("/")))}
    return {path: value for path, value in flat.items() if path not in frozen}, frozen
