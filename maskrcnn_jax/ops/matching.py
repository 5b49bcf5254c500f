"""Which ground truth each anchor or RoI belongs to."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Matches(NamedTuple):
    """gt_indices: int[n], the ground truth of highest IoU. positive, negative: bool[n]; neither: ignored."""

    gt_indices: Int[Array, "n"]
    positive: Bool[Array, "n"]
    negative: Bool[Array, "n"]


def match(
    iou: Float[Array, "n g"],
    gt_valid: Bool[Array, "g"],
    *,
    foreground_iou: float,
    background_iou: float,
    low_quality: bool,
) -> Matches:
    """Match each box to the ground truth it overlaps most.

    Args:
      iou: of each box with each ground truth; columns of padding may hold anything.
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
    iou = jnp.where(gt_valid[None, :], iou, -1)
    best = jnp.max(iou, axis=1)
    positive = best >= foreground_iou
    if low_quality:
        best_of_gt = jnp.max(iou, axis=0, keepdims=True)
        positive |= jnp.any((iou == best_of_gt) & (best_of_gt > 0), axis=1)
    return Matches(jnp.argmax(iou, axis=1), positive, (best < background_iou) & ~positive)
