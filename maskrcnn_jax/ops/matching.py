"""Which ground truth each anchor or RoI belongs to."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops.iou import pairwise_ioa, pairwise_iou
from maskrcnn_jax.ops.nms import first_true, vary_with

CHUNK = 8  # rows of ground truth compared with all boxes at once
Carry = TypeVar("Carry")


class Matches(NamedTuple):
    """gt_indices: int[n], the ground truth of highest IoU. positive, negative: bool[n]; neither: ignored."""

    gt_indices: Int[Array, "n"]
    positive: Bool[Array, "n"]
    negative: Bool[Array, "n"]


def match(
    boxes: Float[Array, "n 4"],
    gt_boxes: Float[Array, "g 4"],
    gt_valid: Bool[Array, "g"],
    *,
    foreground_iou: float,
    background_iou: float,
    low_quality: bool,
) -> Matches:
    """Match each box to the ground truth it overlaps most; of equal overlaps, to the first.

    Its cost follows the number of ground truths that exist, not g.

    Args:
      boxes: any frame; at least one row.
      gt_boxes: the same frame; rows of padding may hold anything.
      gt_valid: which ground truths exist.
      foreground_iou: boxes whose best IoU reaches it are positive.
      background_iou: boxes whose best IoU is below it are negative; between the two they are ignored.
      low_quality: boxes that overlap some ground truth as much as any box does (ties included) are positive too. They
        keep the ground truth of their own highest IoU, as the references do. An overlap of 0 does not count.

    Raises:
      ValueError: `background_iou` exceeds `foreground_iou`.

    Source: Ren et al. 2015, section 3.1.2.
    """
    if background_iou > foreground_iou:
        raise ValueError(f"background_iou must be at most foreground_iou; got {background_iou} and {foreground_iou}")

    def compare(best: _Best, rows: Int[Array, "c"], exist: Bool[Array, "c"]) -> _Best:
        iou = jnp.where(exist[:, None], pairwise_iou(gt_boxes[rows], boxes), -1)
        top = jnp.max(iou, axis=0)
        gt_indices = jnp.where(top > best.iou, rows[jnp.argmax(iou, axis=0)], best.gt_indices)
        best_of_gt = jnp.max(iou, axis=1, keepdims=True)
        best_of_one = best.best_of_one | jnp.any((iou == best_of_gt) & (best_of_gt > 0), axis=0)
        return _Best(jnp.maximum(best.iou, top), gt_indices, best_of_one)

    x = boxes[:, 0]
    nothing = _Best(jnp.full_like(x, -1, jnp.result_type(boxes, gt_boxes)), jnp.zeros_like(x, int), jnp.zeros_like(x, bool))
    best = _over_chunks(compare, nothing, gt_valid)
    positive = best.iou >= foreground_iou
    if low_quality:
        positive |= best.best_of_one
    return Matches(best.gt_indices, positive, (best.iou < background_iou) & ~positive)


def covered(boxes: Float[Array, "n 4"], regions: Float[Array, "g 4"], valid: Bool[Array, "g"], *, ioa: float) -> Bool[Array, "n"]:
    """Which boxes lie in one of the regions: their intersection over their own area reaches `ioa`.

    Args:
      boxes: any frame.
      regions: the same frame; rows of padding may hold anything.
      valid: which regions exist; the cost follows their number.
      ioa: how much of a box one region must cover.
    """

    def compare(inside: Bool[Array, "n"], rows: Int[Array, "c"], exist: Bool[Array, "c"]) -> Bool[Array, "n"]:
        return inside | jnp.any((pairwise_ioa(boxes, regions[rows]) >= ioa) & exist[None, :], axis=1)

    return _over_chunks(compare, jnp.zeros_like(boxes[:, 0], bool), valid)


class _Best(NamedTuple):
    """iou: float[n], highest so far. gt_indices: int[n], whose. best_of_one: bool[n], no box overlaps some ground truth more."""

    iou: Float[Array, "n"]
    gt_indices: Int[Array, "n"]
    best_of_one: Bool[Array, "n"]


def _over_chunks(step: Callable[[Carry, Array, Array], Carry], start: Carry, valid: Bool[Array, "g"]) -> Carry:
    """`carry = step(carry, indices, exist)` over the True entries of `valid` in order, `CHUNK` at a time.

    `start` is made like the boxes (`zeros_like`), so that it varies over their mesh axes.
    """
    if not valid.shape[0]:
        return start
    indices, exist = first_true(valid, -(-valid.shape[0] // CHUNK) * CHUNK)
    count = jnp.sum(exist)

    def body(state: tuple[Int[Array, ""], Carry]) -> tuple[Int[Array, ""], Carry]:
        first, carry = state
        return first + CHUNK, step(carry, *(jax.lax.dynamic_slice_in_dim(x, first, CHUNK) for x in (indices, exist)))

    start = jax.tree.map(lambda x: vary_with(x, count), start)
    _, carry = jax.lax.while_loop(lambda state: state[0] < count, body, (jnp.zeros_like(count), start))
    return carry
