"""The optimizer and its schedule, from configuration."""

from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from maskrcnn_jax.config import ConfigError, OptimizerConfig, TrainConfig
from maskrcnn_jax.errors import first_few

Schedule = Callable[[Int[Array, ""]], Float[Array, ""]]
Flat = dict[str, Any]  # "module/layer/kernel" -> parameter


def learning_rate(config: OptimizerConfig, train: TrainConfig) -> Schedule:
    """Step -> learning rate.

    Args:
      config: peak, warm-up, and what follows.
      train: length of the run, where `cosine` reaches 0, and images a step.
    """
    peak = config.learning_rate * (train.batch_size / config.reference_batch if config.reference_batch else 1)

    def rate(step: Int[Array, ""]) -> Float[Array, ""]:
        at = step.astype(jnp.float32)
        warm = jnp.minimum(at / max(config.warmup_steps, 1), 1) if config.warmup_steps else jnp.ones_like(at)
        warm = config.warmup_factor + (1 - config.warmup_factor) * warm
        if config.schedule == "cosine":
            share = (1 + jnp.cos(jnp.pi * jnp.clip(at / train.steps, 0, 1))) / 2
        else:
            drops = jnp.sum(at >= jnp.asarray(config.milestones, jnp.float32)) if config.milestones else 0
            share = jnp.asarray(config.gamma, jnp.float32) ** drops
        return peak * warm * share

    return rate


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformationExtraArgs:
    """Clip by global norm, then the optimizer with its decay, over flat parameters.

    `update` takes the learning rate of the step as `rate` - a step that is skipped leaves the optimizer's state as it was, and
    the schedule goes on - and the global norm of the gradients as `norm`, which a step knows already.
    """
    clip = optax.identity() if config.clip_norm is None else _clip(config.clip_norm)
    decay = optax.add_decayed_weights(config.weight_decay, mask=lambda params: {path: _decays(path, config) for path in params})
    if config.kind == "adamw":
        return optax.chain(clip, optax.scale_by_adam(b1=config.momentum, b2=config.second_moment), decay, _descend(config))
    return optax.chain(clip, decay, optax.trace(config.momentum), _descend(config))


def _clip(limit: float) -> optax.GradientTransformationExtraArgs:
    """Gradients of at most the norm `limit`, from the norm that they have."""

    def update(updates: Flat, state: Any, params: Any = None, *, norm: Array, rate: Array) -> tuple[Flat, Any]:
        factor = jnp.minimum(1, limit / norm)
        return {path: value * factor.astype(value.dtype) for path, value in updates.items()}, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _descend(config: OptimizerConfig) -> optax.GradientTransformationExtraArgs:
    """Minus the learning rate, and each parameter's own factor of it, times the updates."""

    def update(updates: Flat, state: Any, params: Any = None, *, norm: Array, rate: Array) -> tuple[Flat, Any]:
        return {path: value * (-rate * layer_factor(path, config)).astype(value.dtype) for path, value in updates.items()}, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def layer_factor(path: str, config: OptimizerConfig) -> float:
    """What the learning rate of the parameter `path` is multiplied by."""
    return next((factor for pattern, factor in _layer_rates(config).items() if fnmatchcase(path, pattern)), 1.0)


def _layer_rates(config: OptimizerConfig) -> Mapping[str, float]:
    parts = [rate.rpartition("=") for rate in config.layer_rates]
    return {pattern: float(factor) for pattern, _, factor in parts}


def matches(path: str, patterns: Collection[str]) -> bool:
    """Whether a parameter's path is one of those that shell `patterns` describe."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def check_patterns(paths: Collection[str], config: OptimizerConfig, train: TrainConfig) -> None:
    """Raise ConfigError where a pattern of `optimizer.layer_rates` or `train.freeze` matches none of `paths`, or all are frozen."""
    for field, patterns in (("optimizer.layer_rates", _layer_rates(config)), ("train.freeze", train.freeze)):
        for pattern in patterns:
            if not any(matches(path, [pattern]) for path in paths):
                known = sorted({"/".join(path.split("/")[:2]) for path in paths})
                near = [name for name in known if name.split("/")[0] == pattern.split("/")[0]]
                raise ConfigError(
                    f"{field}: {pattern!r} matches no parameter that would be trained; paths of those begin with {first_few(near or known)}"
                )
    if all(matches(path, train.freeze) for path in paths):
        raise ConfigError("train.freeze leaves no parameter to train; take out a pattern")


def moving_average(average: Flat, params: Flat, step: Int[Array, ""], decay: float) -> Flat:
    """The average after a step that leads to `params`.

    Args:
      average: before.
      params: after the step.
      step: steps done before it.
      decay: weight of the past, less in the first steps.
    """
    at = step.astype(jnp.float32)
    past = jnp.minimum(decay, (1 + at) / (10 + at))
    return jax.tree.map(lambda old, new: old + (1 - past).astype(old.dtype) * (new - old), average, params)


def _decays(path: str, config: OptimizerConfig) -> bool:
    match config.decay:
        case "all":
            return True
        case "not_norms":
            return "norm" not in path.split("/")
        case _:
            return path.endswith("/kernel")
