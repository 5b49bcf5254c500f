"""Balanced sampling of positives and negatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops.nms import first_true


class Samples(NamedTuple):
    """indices: int[s], positives first. positive: bool[s]. valid: bool[s]; the index of an invalid row means nothing."""

    indices: Int[Array, "s"]
    positive: Bool[Array, "s"]
    valid: Bool[Array, "s"]


def sample_balanced(
    positive: Bool[Array, "n"],
    negative: Bool[Array, "n"],
    priority: Float[Array, "n"],
    *,
    size: int,
    max_positives: int,
) -> Samples:
    """Choose up to `max_positives` positives and fill up to `size` with negatives, by highest priority.

    Args:
      positive: candidates of the first kind.
      negative: candidates of the second kind, disjoint from the first.
      priority: finite; uniform noise makes the choice random, anything else makes it deterministic.
        Of equal priorities the lower index is chosen first.
      size: s, the static number of rows returned.
      max_positives: upper bound of positives, at most `size`.

    Raises:
      ValueError: not 0 <= max_positives <= size.
    """
    if not 0 <= max_positives <= size:
        raise ValueError(f"max_positives must be in [0, {size}]; got {max_positives}")
    chosen, chosen_valid = _best(positive, priority, max_positives)
    fill, fill_valid = _best(negative, priority, size)
    indices = jnp.concatenate([chosen, fill])
    slots, valid = first_true(jnp.concatenate([chosen_valid, fill_valid]), size)
    return Samples(indices[slots], valid & (jnp.arange(size) < jnp.sum(chosen_valid)), valid)


def _best(mask: Bool[Array, "n"], priority: Float[Array, "n"], size: int) -> tuple[Int[Array, "k"], Bool[Array, "k"]]:
    """Indices of the True entries of highest priority, and which of the rows exist."""
    _, indices = jax.lax.top_k(jnp.where(mask, priority, -jnp.inf), min(size, mask.shape[0]))
    return indices, mask[indices]
