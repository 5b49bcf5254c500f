"""Exact greedy non-maximum suppression with static shapes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops.iou import pairwise_iou


def suppress(boxes: Float[Array, "n 4"], valid: Bool[Array, "n"], groups: Int[Array, "n"], *, iou_threshold: float) -> Bool[Array, "n"]:
    """Which of the boxes, best first, greedy NMS keeps.

    Greedy NMS is the one solution of `keep[i] = valid[i] and no kept j < i of the same group overlaps i`. Iterating that
    equation from `keep = valid` settles box i at the latest once all j < i have settled, so the fixed point is exact, and
    is reached after as many rounds as the longest chain of suppressions (a handful in practice).

    Args:
      boxes: any frame, in descending order of score.
      valid: rows that count; the others neither survive nor suppress.
      groups: boxes suppress each other only within a group (a level, a class).
      iou_threshold: a box is dropped where its IoU with a kept box exceeds it.
    """
    n = boxes.shape[0]
    before = jnp.arange(n)[:, None] < jnp.arange(n)[None, :]
    same = groups[:, None] == groups[None, :]
    overlaps = (pairwise_iou(boxes, boxes) > iou_threshold) & same & before

    def settle(state: tuple[Bool[Array, "n"], Bool[Array, ""]]) -> tuple[Bool[Array, "n"], Bool[Array, ""]]:
        keep, _ = state
        new = valid & ~jnp.any(overlaps & keep[:, None], axis=0)
        return new, jnp.any(new != keep)

    # The carry starts from an input, not a constant, so that it varies over the same mesh axes as the loop's result.
    keep, _ = jax.lax.while_loop(lambda state: state[1], settle, (valid, jnp.any(valid)))
    return keep


def nms(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, "n"],
    valid: Bool[Array, "n"],
    groups: Int[Array, "n"],
    *,
    iou_threshold: float,
    max_output: int,
) -> tuple[Int[Array, "k"], Bool[Array, "k"]]:
    """The `max_output` best boxes that greedy NMS keeps, best first.

    Args:
      boxes: any frame.
      scores: any finite numbers, and anything in padding; of equal scores the lower index comes first.
      valid: rows that count.
      groups: boxes suppress each other only within a group.
      iou_threshold: a box is dropped where its IoU with a kept box exceeds it.
      max_output: k, the static number of rows returned.

    Returns:
      indices: into `boxes`. valid: False in rows beyond the number of boxes kept, whose index means nothing.

    Raises:
      ValueError: `max_output` is not positive.
    """
    if max_output < 1:
        raise ValueError(f"max_output must be at least 1; got {max_output}")
    order = jnp.argsort(scores, descending=True, stable=True)  # where padding stands is of no account
    keep = suppress(boxes[order], valid[order], groups[order], iou_threshold=iou_threshold)
    slots, kept = first_true(keep, max_output)
    return order[slots], kept


def first_true(mask: Bool[Array, "n"], size: int) -> tuple[Int[Array, "k"], Bool[Array, "k"]]:
    """Indices of the first `size` True entries in order, and which of them exist; the others are 0."""
    (indices,) = jnp.nonzero(mask, size=size, fill_value=0)
    return indices, jnp.arange(size) < jnp.sum(mask)
