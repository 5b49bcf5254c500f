"""Elementwise losses, and the ratio that a masked mean is."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.structs import Ratio


def binary_cross_entropy(logits: Float[Array, "*n"], targets: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), without overflow, and with the right gradient at 0.

    Args:
      logits: x.
      targets: t, probabilities in [0, 1].
    """
    return -targets * jax.nn.log_sigmoid(logits) - (1 - targets) * jax.nn.log_sigmoid(-logits)


def cross_entropy(logits: Float[Array, "*n k"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """-log softmax(x)[label].

    Args:
      logits: x, one row an item.
      labels: class of each item, 0 ... k - 1.
    """
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=-1), labels[..., None], axis=-1)
    return -chosen[..., 0]


def smooth_l1(predictions: Float[Array, "*n 4"], targets: Float[Array, "*n 4"], *, beta: float) -> Float[Array, "*n"]:
    """Sum over the four components of 0.5 d^2 / beta where |d| < beta, |d| - 0.5 beta elsewhere.

    Args:
      predictions: deltas.
      targets: deltas.
      beta: where the loss turns straight, in delta units; 0 gives L1.

    Raises:
      ValueError: `beta` is negative.

    Source: Girshick 2015, eq. 3 (beta 1).
    """
    if beta < 0:
        raise ValueError(f"beta must not be negative; got {beta}")
    distance = jnp.abs(predictions - targets)
    if beta > 0:
        distance = jnp.where(distance < beta, 0.5 * distance**2 / beta, distance - 0.5 * beta)
    return jnp.sum(distance, axis=-1)


def masked_ratio(values: Float[Array, "*n"], mask: Bool[Array, "*n"], denominator: Float[Array, ""]) -> Ratio:
    """Sum of `values` where `mask` holds, over `denominator`; values elsewhere, even nan, change nothing."""
    return Ratio(jnp.sum(jnp.where(mask, values, 0)), denominator)


def ratio_value(ratio: Ratio) -> Float[Array, ""]:
    """The quotient, and 0 where the denominator is 0."""
    positive = ratio.denominator > 0
    return jnp.where(positive, ratio.numerator / jnp.where(positive, ratio.denominator, 1), 0)
