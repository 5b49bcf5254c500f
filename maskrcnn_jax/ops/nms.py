"""Exact greedy non-maximum suppression with static shapes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops.iou import pairwise_iou

BLOCK = 1024  # boxes settled together: smaller ones compare less, larger ones take fewer steps and compile faster
Rows = Int[Array, "_i"] | slice


def suppress(boxes: Float[Array, "n 4"], valid: Bool[Array, "n"], groups: Int[Array, "n"], *, iou_threshold: float) -> Bool[Array, "n"]:
    """Which of the boxes, best first, greedy NMS keeps.

    The boxes are settled a block at a time: those that an earlier block keeps drop some of them, the rest are settled among
    themselves. Few kept boxes thus cost few overlaps, and no array of n x n exists.

    Args:
      boxes: any frame, in descending order of score; at least one row.
      valid: rows that count; the others neither survive nor suppress.
      groups: boxes suppress each other only within a group (a level, a class).
      iou_threshold: a box is dropped where its IoU with a kept box exceeds it.
    """
    n, valid = boxes.shape[0], vary_with(valid, boxes, groups)

    def overlaps(first: Rows, second: Rows) -> Bool[Array, "i j"]:
        return (pairwise_iou(boxes[first], boxes[second]) > iou_threshold) & (groups[first][:, None] == groups[second][None, :])

    if n <= BLOCK:
        return _settle(overlaps(slice(None), slice(None)), valid)

    def settle_block(i: Int[Array, ""], keep: Bool[Array, "n"]) -> Bool[Array, "n"]:
        start = jnp.minimum(i * BLOCK, n - BLOCK)  # the last block reaches back: rows that are settled stay as they are
        rows = start + jnp.arange(BLOCK)
        earlier, exist = first_true(keep & (jnp.arange(n) < start), n)

        def drop(state: tuple[Int[Array, ""], Bool[Array, "i"]]) -> tuple[Int[Array, ""], Bool[Array, "i"]]:
            first, own = state
            tile, real = (jax.lax.dynamic_slice_in_dim(x, first, BLOCK) for x in (earlier, exist))
            return first + BLOCK, own & ~jnp.any(overlaps(tile, rows) & real[:, None], axis=0)

        count = jnp.sum(exist)
        _, own = jax.lax.while_loop(lambda state: state[0] < count, drop, (jnp.zeros_like(count), keep[rows]))
        return jax.lax.dynamic_update_slice_in_dim(keep, _settle(overlaps(rows, rows), own), start, axis=0)

    return jax.lax.fori_loop(0, -(-n // BLOCK), settle_block, valid)


def _settle(overlaps: Bool[Array, "i i"], valid: Bool[Array, "i"]) -> Bool[Array, "i"]:
    """Which boxes greedy NMS keeps among themselves, from which overlap too much.

    Greedy NMS is the one solution of `keep[i] = valid[i] and no kept j < i of the same group overlaps i`. Iterating that
    equation from `keep = valid` settles box i at the latest once all j < i have settled, so the fixed point is exact, and
    is reached after as many rounds as the longest chain of suppressions (a handful in practice).
    """
    places = jnp.arange(valid.shape[0])
    overlaps &= places[:, None] < places[None, :]

    def settle(state: tuple[Bool[Array, "i"], Bool[Array, ""]]) -> tuple[Bool[Array, "i"], Bool[Array, ""]]:
        keep, _ = state
        new = valid & ~jnp.any(overlaps & keep[:, None], axis=0)
        return new, jnp.any(new != keep)

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
      boxes: any frame; at least one row.
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


def vary_with(x: Array, *others: Array) -> Array:
    """`x`, under `shard_map` varying over the mesh axes of the others too: the carry of a loop must do so from its start."""
    for other in others:
        x = jnp.where(other.ravel()[0] == 0, x, x)
    return x


def first_true(mask: Bool[Array, "n"], size: int) -> tuple[Int[Array, "k"], Bool[Array, "k"]]:
    """Indices of the first `size` True entries in order, and which of them exist; the others are 0."""
    (indices,) = jnp.nonzero(mask, size=size, fill_value=0)
    return indices, jnp.arange(size) < jnp.sum(mask)
