"""Boxes (x0, y0, x1, y1) in continuous pixels: no +1 anywhere."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def box_area(boxes: Float[Array, "*n 4"]) -> Float[Array, "*n"]:
    """Area of each box in square pixels; 0 where a side is negative."""
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def clip_boxes(boxes: Float[Array, "*n 4"], size: Float[Array, "2"]) -> Float[Array, "*n 4"]:
    """Clip boxes to the image.

    Args:
      boxes: in canvas pixels.
      size: (height, width) of the image proper, canvas pixels.
    """
    height, width = size[0], size[1]
    upper = jnp.stack([width, height, width, height]).astype(boxes.dtype)
    return jnp.clip(boxes, jnp.zeros((), boxes.dtype), jnp.broadcast_to(upper, boxes.shape))


def has_sides(boxes: Float[Array, "*n 4"], min_side: float) -> Bool[Array, "*n"]:
    """Whether both sides of each box are positive and at least `min_side` pixels."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return jnp.all((sides > 0) & (sides >= min_side), axis=-1)
