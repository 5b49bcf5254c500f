"""The optimizer and its schedule, from configuration."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from maskrcnn_jax.config import OptimizerConfig

Schedule = Callable[[Int[Array, ""]], Float[Array, ""]]
Flat = dict[str, Any]  # "module/layer/kernel" -> parameter


def learning_rate(config: OptimizerConfig, steps: int) -> Schedule:
    """Step -> learning rate.

    Args:
      config: peak, warm-up, and what follows.
      steps: length of the run; `cosine` reaches 0 there.
    """

    def rate(step: Int[Array, ""]) -> Float[Array, ""]:
        at = step.astype(jnp.float32)
        warm = jnp.minimum(at / max(config.warmup_steps, 1), 1) if config.warmup_steps else jnp.ones_like(at)
        warm = config.warmup_factor + (1 - config.warmup_factor) * warm
        if config.schedule == "cosine":
            share = (1 + jnp.cos(jnp.pi * jnp.clip(at / steps, 0, 1))) / 2
        else:
            drops = jnp.sum(at >= jnp.asarray(config.milestones, jnp.float32)) if config.milestones else 0
            share = jnp.asarray(config.gamma, jnp.float32) ** drops
        return config.learning_rate * warm * share

    return rate


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """Clip by global norm, then the optimizer with its decay and schedule, over flat parameters.

    Args:
      config: the optimizer.
      steps: length of the run.
    """
    clip = optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)
    decay = optax.add_decayed_weights(config.weight_decay, mask=lambda params: {path: _decays(path, config) for path in params})
    rate = optax.scale_by_learning_rate(learning_rate(config, steps))
    if config.kind == "adamw":
        return optax.chain(clip, optax.scale_by_adam(b1=config.momentum, b2=config.second_moment), decay, rate)
    return optax.chain(clip, decay, optax.trace(config.momentum), rate)


def _decays(path: str, config: OptimizerConfig) -> bool:
    return config.decay == "all" or path.endswith("/kernel")
