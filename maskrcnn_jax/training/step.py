"""One training step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from maskrcnn_jax.config import ExperimentConfig, TrainConfig
from maskrcnn_jax.models import DATA_AXIS, Losses, Model, Variables
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.optimizer import Flat, learning_rate, make_optimizer, matches, moving_average
from maskrcnn_jax.training.placement import everywhere

StepMetrics = dict[str, Array]


class TrainState(NamedTuple):
    """Everything that a step changes, and the key it draws from.

    step: int32[], steps done, those that were skipped among them. params, batch_stats: the model's variables. opt_state: of the
    trained parameters alone. average: moving average of the trained parameters, flat; empty without `train.ema`.
    nonfinite: int32[], how many of the last steps in a row were skipped because a loss or gradient was not finite.
    key: of the run; step s uses fold_in(key, s).
    """

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Flat
    nonfinite: Array
    key: Array


def init_state(variables: Variables, model: Model, config: ExperimentConfig) -> TrainState:
    """The state before the first step.

    Args:
      variables: parameters and statistics to start from.
      model: says which parameters are frozen.
      config: optimizer and seed.
    """
    trained, _ = split_frozen(variables["params"], model, config.train)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=make_optimizer(config.optimizer).init(trained),
        average={path: jnp.array(value) for path, value in trained.items()} if config.train.ema else {},
        nonfinite=jnp.zeros((), jnp.int32),
        key=jax.random.key(config.train.seed),
    )


def make_step(model: Model, config: ExperimentConfig) -> Callable[[TrainState, Batch], tuple[TrainState, StepMetrics]]:
    """The function of one step, to be compiled: state and batch to state and metrics.

    A step whose losses or gradients are not finite changes nothing but `step` and `nonfinite`. After `train.max_nonfinite` of
    them in a row nothing changes any more, not `step` either: the host, which reads metrics a step late, finds the state in which
    they occurred. A step with a void image changes nothing either.

    Metrics are float32[]: the five losses by name, their sum `loss`, `grad_norm` before clipping, `learning_rate`, `nonfinite`,
    `rois_sampled` and of these `rois_positive`, of the whole batch, `objects_cut`, ground truth left out of the batch for lack of
    capacity, `images_unreadable`, for which others stood in, and `void`.
    """
    optimizer, rate = make_optimizer(config.optimizer), learning_rate(config.optimizer, config.train)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        trained, frozen = split_frozen(everywhere(state.params, model.mesh), model, config.train)
        key = jax.random.fold_in(state.key, state.step)

        def total(trained: Flat) -> tuple[Array, tuple[StepMetrics, Losses, Any]]:
            variables = {"params": unflatten_dict(trained | frozen, sep="/"), "batch_stats": everywhere(state.batch_stats, model.mesh)}
            losses, batch_stats = summed_losses(model, variables, batch, key, config.train.accumulate)
            values = {name: ratio_value(ratio) for name, ratio in losses.items()}
            return sum(values.values(), jnp.zeros(())), (values, losses, batch_stats)

        (loss, (values, losses, batch_stats)), gradients = jax.value_and_grad(total, has_aux=True)(trained)
        norm = optax.tree.norm(gradients)
        before, _ = split_frozen(state.params, model, config.train)

        def move() -> tuple[Flat, Any, Any, Flat]:
            updates, opt_state = optimizer.update(gradients, state.opt_state, before, norm=norm, rate=rate(state.step))
            moved: Flat = optax.apply_updates(before, updates)
            average = moving_average(state.average, moved, state.step, config.train.ema) if config.train.ema else {}
            return moved, batch_stats, opt_state, average

        def stay() -> tuple[Flat, Any, Any, Flat]:
            return before, state.batch_stats, state.opt_state, state.average

        void = jnp.any(batch.void)
        halted = void | (state.nonfinite >= config.train.max_nonfinite)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        moved, stats, opt_state, average = jax.lax.cond(finite & ~halted, move, stay)
        after = TrainState(
            step=jnp.where(halted, state.step, state.step + 1),
            params=unflatten_dict(flatten_dict(state.params, sep="/") | moved, sep="/"),
            batch_stats=stats,
            opt_state=opt_state,
            average=average,
            nonfinite=jnp.where(halted, state.nonfinite, jnp.where(finite, 0, state.nonfinite + 1)),
            key=state.key,
        )
        metrics = values | {
            "loss": loss,
            "grad_norm": norm,
            "learning_rate": rate(state.step),
            "nonfinite": after.nonfinite.astype(jnp.float32),
            "rois_sampled": losses["class"].denominator,
            "rois_positive": losses["mask"].denominator,
            "objects_cut": jnp.sum(batch.objects_cut).astype(jnp.float32),
            "images_unreadable": jnp.sum(batch.stand_ins).astype(jnp.float32),
            "void": void.astype(jnp.float32),
        }
        return after, metrics

    return step


def summed_losses(model: Model, variables: Variables, batch: Batch, key: Array, parts: int) -> tuple[Losses, Any]:
    """`model.losses` of a batch in `parts`, one after the other: numerators and denominators are sums over all of them.

    Each part has its share of every device's images. What the gradient needs of a part is computed again when its turn comes,
    so that one part's is in memory at a time.
    """
    if parts == 1:
        return model.losses(variables, batch, key)
    devices = model.mesh.shape[DATA_AXIS]

    def split(x: Array) -> Array:
        rows = x.reshape(devices, parts, -1, *x.shape[1:])
        return rows.swapaxes(0, 1).reshape(parts, -1, *x.shape[1:])

    @jax.checkpoint
    def one(batch_stats: Any, part: Batch) -> tuple[Losses, Any]:
        return model.losses({"params": variables["params"], "batch_stats": batch_stats}, part, key)

    def add(carry: tuple[Losses, Any], part: Batch) -> tuple[tuple[Losses, Any], None]:
        sums, batch_stats = carry
        losses, batch_stats = one(batch_stats, part)
        return (jax.tree.map(jnp.add, sums, losses), batch_stats), None

    slices = jax.tree.map(split, batch)
    shapes, _ = jax.eval_shape(one, variables["batch_stats"], jax.tree.map(lambda x: x[0], slices))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    (sums, batch_stats), _ = jax.lax.scan(add, (zeros, variables["batch_stats"]), slices)
    return sums, batch_stats


def split_frozen(params: Any, model: Model, config: TrainConfig) -> tuple[Flat, Flat]:
    """Parameters that are trained and parameters that are not, both flat with keys `module/layer/name`."""
    flat = flatten_dict(params, sep="/")
    frozen = {path: value for path, value in flat.items() if model.is_frozen(tuple(path.split("/"))) or matches(path, config.freeze)}
    return {path: value for path, value in flat.items() if path not in frozen}, frozen


def averaged_variables(state: TrainState) -> Variables:
    """What is evaluated: the model's variables, with the average in place of the trained parameters where there is one."""
    params = unflatten_dict(flatten_dict(state.params, sep="/") | state.average, sep="/")
    return {"params": params, "batch_stats": state.batch_stats}
