"""Regression deltas between boxes and their anchors."""

import jax.numpy as jnp
from jaxtyping import Array, Float

Weights = tuple[float, float, float, float]


def encode_boxes(boxes: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"], *, weights: Weights) -> Float[Array, "*n 4"]:
    """Deltas that move and scale `anchors` onto `boxes`.

    Args:
      boxes: targets in canvas pixels. A side of 0 or less is taken as the float type's epsilon, so that padding stays finite.
      anchors: boxes in canvas pixels, with the same guard.
      weights: scale of each delta component, all positive.

    Returns:
      (dx, dy, dw, dh), dimensionless, multiplied by `weights`.

    Raises:
      ValueError: a weight is not positive.

    Source: Ren et al. 2015, eq. 2.
    """
    _check(weights)
    centre, side = _centre_and_side(boxes)
    anchor_centre, anchor_side = _centre_and_side(anchors)
    shift = (centre - anchor_centre) / anchor_side
    scale = jnp.log(side / anchor_side)
    return jnp.concatenate([shift, scale], axis=-1) * _row(weights, boxes)


def decode_boxes(
    deltas: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"], *, weights: Weights, max_log_scale: float
) -> Float[Array, "*n 4"]:
    """Move and scale `anchors` by regression `deltas`.

    Args:
      deltas: (dx, dy, dw, dh), dimensionless, already multiplied by `weights`.
      anchors: boxes in canvas pixels; padding rows may hold any finite box.
      weights: scale of each delta component, all positive.
      max_log_scale: upper clip of dw and dh, natural-log units.

    Returns:
      Boxes in canvas pixels, not clipped to the image.

    Raises:
      ValueError: a weight is not positive.

    Source: Ren et al. 2015, eq. 2.
    """
    _check(weights)
    deltas = deltas / _row(weights, deltas)
    side = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + side / 2 + deltas[..., :2] * side
    half = jnp.exp(jnp.minimum(deltas[..., 2:], max_log_scale)) * side / 2
    return jnp.concatenate([centre - half, centre + half], axis=-1)


def _centre_and_side(boxes: Float[Array, "*n 4"]) -> tuple[Float[Array, "*n 2"], Float[Array, "*n 2"]]:
    side = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + side / 2, jnp.where(side > 0, side, jnp.finfo(boxes.dtype).eps)


def _row(weights: Weights, like: Float[Array, "*n 4"]) -> Float[Array, "*n 4"]:
    return jnp.broadcast_to(jnp.asarray(weights, like.dtype), like.shape)


def _check(weights: Weights) -> None:
    if min(weights) <= 0:
        raise ValueError(f"box coder weights must be positive; got {weights}")
