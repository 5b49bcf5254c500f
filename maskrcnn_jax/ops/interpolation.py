"""Linear interpolation along one axis: sampling points, and the cells and weights they read."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def bin_positions(start: Float[Array, "r"], side: Float[Array, "r"], bins: int, samples: int) -> Float[Array, "r q t"]:
    """Positions of `samples` points in each of `bins` equal bins of [start, start + side], at the middle of equal parts."""
    steps = (jnp.arange(bins * samples, dtype=start.dtype) + 0.5) / (bins * samples)
    return (start[:, None] + side[:, None] * steps[None, :]).reshape(-1, bins, samples)


def taps_clamped(index: Float[Array, "*n"], limit: Int[Array, "*n"]) -> tuple[Int[Array, "*n 2"], Float[Array, "*n 2"]]:
    """The two cells around each point of a feature map, and their weights.

    Args:
      index: position in cells, cell i at i. Points within one cell outside the map read its border; farther ones read 0.
      limit: number of cells of the map.

    Source: He et al. 2017, section 3; the border rule is that of every public implementation.
    """
    last = (limit - 1).astype(index.dtype)
    inside = (index >= -1) & (index <= limit.astype(index.dtype))
    clamped = jnp.clip(index, 0, last)
    low = jnp.floor(clamped)
    upper = clamped - low
    cells = jnp.stack([low, jnp.minimum(low + 1, last)], axis=-1).astype(jnp.int32)
    return cells, jnp.stack([1 - upper, upper], axis=-1) * inside[..., None].astype(index.dtype)


def taps_or_zero(index: Float[Array, "*n"], limit: int) -> tuple[Int[Array, "*n 2"], Float[Array, "*n 2"]]:
    """The same for a grid that is surrounded by zeros: cells outside [0, limit) have weight 0."""
    low = jnp.floor(index)
    cells = jnp.stack([low, low + 1], axis=-1)
    weights = jnp.stack([low + 1 - index, index - low], axis=-1)
    exists = (cells >= 0) & (cells < limit)
    return jnp.clip(cells, 0, limit - 1).astype(jnp.int32), jnp.where(exists, weights, 0)


def hat_weights(index: Float[Array, "d n"], cells: int) -> Float[Array, "d n m"]:
    """The weights of `taps_or_zero` as rows of a matrix: max(0, 1 - |index - cell|)."""
    grid = jnp.arange(cells, dtype=index.dtype)
    return jnp.maximum(0, 1 - jnp.abs(index[:, :, None] - grid[None, None, :]))


def adaptive_positions(
    start: Float[Array, "r"], side: Float[Array, "r"], bins: int, bound: int
) -> tuple[Float[Array, "r q s"], Float[Array, "r s"]]:
    """Positions of ceil(side / bins) points in each of `bins` equal bins, and the share of each in its bin's mean.

    A side in cells, so neighbours are at most one cell apart. Shares of points that a RoI does not have are 0; RoIs that need
    more than `bound` points a bin get so many.
    """
    count = jnp.minimum(jnp.ceil(side / bins), bound)
    point = jnp.arange(bound, dtype=start.dtype)[None, :]
    steps = (point + 0.5) / jnp.maximum(count, 1)[:, None]
    bin_index = jnp.arange(bins, dtype=start.dtype)[None, :, None]
    position = start[:, None, None] + (bin_index + steps[:, None, :]) * (side / bins)[:, None, None]
    return position, jnp.where(point < count[:, None], 1 / jnp.maximum(count, 1)[:, None], 0)
