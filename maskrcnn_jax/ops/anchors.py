"""Anchors of one pyramid level."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def base_anchors(size: float, ratios: tuple[float, ...], *, round_corners: bool) -> Float[np.ndarray, "a 4"]:
    """Anchors of one cell, centred on the origin.

    Args:
      size: square root of the anchors' area, canvas pixels.
      ratios: height over width of each anchor.
      round_corners: round corners to integers, halves to even (torchvision).

    Raises:
      ValueError: a size or ratio is not positive.
    """
    if size <= 0 or min(ratios) <= 0:
        raise ValueError(f"anchor size and ratios must be positive; got {size} and {ratios}")
    root = np.sqrt(np.asarray(ratios, np.float64))
    half = np.stack([size / root, size * root], axis=-1) / 2
    corners = np.concatenate([-half, half], axis=-1)
    return (np.round(corners) if round_corners else corners).astype(np.float32)


def grid_anchors(base: Float[np.ndarray, "a 4"], grid: tuple[int, int], strides: tuple[float, float]) -> Float[Array, "n 4"]:
    """`base` at every cell of a feature map, centres at stride * index (no half pixel).

    Args:
      base: anchors of one cell, canvas pixels.
      grid: (rows, columns) of the feature map.
      strides: (vertical, horizontal) pixels between cells.

    Returns:
      Boxes in canvas pixels, in order (row, column, anchor); n = rows * columns * a.
    """
    y = jnp.arange(grid[0], dtype=jnp.float32) * strides[0]
    x = jnp.arange(grid[1], dtype=jnp.float32) * strides[1]
    yy, xx = jnp.meshgrid(y, x, indexing="ij")
    centres = jnp.stack([xx, yy, xx, yy], axis=-1)
    return (centres[:, :, None, :] + jnp.asarray(base)[None, None, :, :]).reshape(-1, 4)
