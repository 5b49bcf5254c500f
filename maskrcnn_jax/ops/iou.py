"""Overlap of every box of one set with every box of another."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.ops.boxes import box_area


def pairwise_iou(boxes: Float[Array, "n 4"], others: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Intersection over union, 0 where the union is empty."""
    intersection = pairwise_intersection(boxes, others)
    return _ratio(intersection, box_area(boxes)[:, None] + box_area(others)[None, :] - intersection)


def pairwise_ioa(boxes: Float[Array, "n 4"], others: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Intersection over the area of `boxes`' own box, 0 where that area is 0 (COCO's measure against crowds)."""
    intersection = pairwise_intersection(boxes, others)
    return _ratio(intersection, jnp.broadcast_to(box_area(boxes)[:, None], intersection.shape))


def pairwise_intersection(boxes: Float[Array, "n 4"], others: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Area of each intersection, square pixels."""
    width = jnp.minimum(boxes[:, None, 2], others[None, :, 2]) - jnp.maximum(boxes[:, None, 0], others[None, :, 0])
    height = jnp.minimum(boxes[:, None, 3], others[None, :, 3]) - jnp.maximum(boxes[:, None, 1], others[None, :, 1])
    return jnp.maximum(width, 0) * jnp.maximum(height, 0)


def _ratio(part: Float[Array, "n m"], whole: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """part / whole, and 0 with zero gradient where `whole` is 0."""
    positive = whole > 0
    return jnp.where(positive, part / jnp.where(positive, whole, 1), 0)
