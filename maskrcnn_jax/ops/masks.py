"""Masks as grids in frames: targets for the mask head, and pasting into the image."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from maskrcnn_jax.ops.interpolation import adaptive_positions, bin_positions, hat_weights, taps_or_zero


def mask_targets(
    masks: UInt8[Array, "g mh mw"],
    frames: Float[Array, "g 4"],
    boxes: Float[Array, "r 4"],
    gt_indices: Int[Array, "r"],
    image_size: Float[Array, "2"],
    *,
    size: int,
    samples: int,
    aligned: bool,
) -> Float[Array, "r {size} {size}"]:
    """Coverage, 0 ... 1, of each RoI's ground truth mask in each cell of the mask head's output.

    RoIAlign of the bitmap on the image proper, computed from the grid: coordinates are clamped to the image as RoIAlign
    does at a map's border (points more than one pixel outside read 0), then looked up in the grid, which is surrounded by
    zeros. Where the grid's cells are pixels the two are equal.

    Args:
      masks: 255 inside, 0 outside.
      frames: box each grid covers, canvas pixels; a frame without area (padding) reads 0.
      boxes: RoIs, canvas pixels.
      gt_indices: the ground truth of each RoI.
      image_size: (height, width) of the image proper, canvas pixels.
      size: cells a side of the targets.
      samples: points a cell side.
      aligned: pixel centres at +0.5; otherwise at integers, and RoIs are at least one pixel wide.
    """
    index = []
    for axis, cells in ((1, masks.shape[1]), (0, masks.shape[2])):
        start, side = _extent(boxes, axis, aligned)
        position, inside = _within(bin_positions(start, side, size, samples), image_size[1 - axis])
        taps, weights = taps_or_zero(_in_grid(position, frames[gt_indices], axis, cells), cells)
        weights = weights * inside[..., None].astype(weights.dtype) / samples
        index.append((taps.reshape(-1, size, 2 * samples), weights.reshape(-1, size, 2 * samples)))
    (y, wy), (x, wx) = index
    values = masks[gt_indices[:, None, None, None, None], y[:, :, :, None, None], x[:, None, None, :, :]]
    return jnp.sum(values.astype(wy.dtype) * wy[:, :, :, None, None] * wx[:, None, None, :, :], axis=(2, 4)) / 255


def mask_targets_adaptive(
    masks: UInt8[Array, "g mh mw"],
    frames: Float[Array, "g 4"],
    boxes: Float[Array, "r 4"],
    gt_indices: Int[Array, "r"],
    image_size: Float[Array, "2"],
    *,
    size: int,
    max_samples: int,
    aligned: bool,
) -> Float[Array, "r {size} {size}"]:
    """`mask_targets` with ceil(side / `size`) points a cell side, each RoI its own number on each axis; the same arguments.

    Args:
      masks: 255 inside, 0 outside.
      frames: box each grid covers, canvas pixels; a frame without area (padding) reads 0.
      boxes: RoIs, canvas pixels.
      gt_indices: the ground truth of each RoI.
      image_size: (height, width) of the image proper, canvas pixels.
      size: cells a side of the targets.
      max_samples: points a cell side at most; ceil(longest canvas side / size) is enough for RoIs inside the image.
      aligned: pixel centres at +0.5; otherwise at integers, and RoIs are at least one pixel wide.
    """

    def of_roi(box: Float[Array, "4"], index: Int[Array, ""]) -> Float[Array, "m m"]:
        weights = []
        for axis, cells in ((1, masks.shape[1]), (0, masks.shape[2])):
            start, side = _extent(box[None], axis, aligned)
            position, share = adaptive_positions(start, side, size, max_samples)
            position, inside = _within(position, image_size[1 - axis])
            hats = hat_weights(_in_grid(position, frames[index][None], axis, cells)[0], cells)
            weights.append(jnp.einsum("qsm,qs->qm", hats, jnp.where(inside[0], share, 0), precision="highest"))
        mask = masks[index].astype(boxes.dtype)
        return jnp.einsum("ih,hw,jw->ij", weights[0], mask, weights[1], precision="highest") / 255

    return jax.lax.map(lambda roi: of_roi(*roi), (boxes, gt_indices))  # a RoI at a time: its mask may be the whole canvas


def _extent(boxes: Float[Array, "r 4"], axis: int, aligned: bool) -> tuple[Float[Array, "r"], Float[Array, "r"]]:
    """Start and side of RoIs along an axis (0 for x), in pixels whose centres are at +0.5."""
    start, end = boxes[:, axis], boxes[:, axis + 2]
    return (start, end - start) if aligned else (start + 0.5, jnp.maximum(end - start, 1))


def _within(position: Float[Array, "r q s"], limit: Float[Array, ""]) -> tuple[Float[Array, "r q s"], Bool[Array, "r q s"]]:
    """Positions clamped to the pixel centres of an image of `limit` pixels, and which were at most a pixel outside of these."""
    return jnp.clip(position, 0.5, limit - 0.5), (position >= -0.5) & (position <= limit + 0.5)


def _in_grid(position: Float[Array, "r q s"], frames: Float[Array, "r 4"], axis: int, cells: int) -> Float[Array, "r q s"]:
    """Positions on the canvas as indices of a grid's cells, i at the middle of cell i; far outside of a frame without area."""
    origin, limit = frames[:, axis, None, None], frames[:, axis + 2, None, None]
    cell = jnp.where(limit > origin, limit - origin, 1) / cells
    return jnp.where(limit > origin, (position - origin) / cell - 0.5, -2)


def paste_masks(
    masks: Float[Array, "d m m"],
    frames: Float[Array, "d 4"],
    *,
    height: int,
    width: int,
    kind: Literal["continuous", "expanded"],
) -> Float[Array, "d {height} {width}"]:
    """Probability of each object at each pixel of the image; half a cell outside its frame it has faded to 0.

    Args:
      masks: probability in each cell.
      frames: box each grid covers, pixels of the image to paste into; padding rows may hold any finite box.
      height: rows of that image.
      width: columns of that image.
      kind: continuous: sampled at pixel centres, zeros around the grid. expanded: the grid gets a ring of zeros, the
        frame grows with it and is cut to integers, both ends included (torchvision).

    Source: He et al. 2017, section 3.1; the two conventions are Detectron2's and torchvision's.
    """
    cells = masks.shape[-1]
    if kind == "expanded":
        masks = jnp.pad(masks, ((0, 0), (1, 1), (1, 1)))
        weigh = _expanded_weights
    else:
        weigh = _continuous_weights
    rows = weigh(frames[:, 1], frames[:, 3], height, cells)
    columns = weigh(frames[:, 0], frames[:, 2], width, cells)
    # Accelerators would otherwise round the factors to 8 or 11 bits and move mask borders.
    return jnp.einsum("dhi,dij,dwj->dhw", rows, masks, columns, precision="highest")


def _continuous_weights(start: Float[Array, "d"], end: Float[Array, "d"], pixels: int, cells: int) -> Float[Array, "d n m"]:
    centres = jnp.arange(pixels, dtype=start.dtype)[None, :] + 0.5
    side = jnp.maximum(end - start, jnp.finfo(start.dtype).eps)[:, None]
    return hat_weights((centres - start[:, None]) / side * cells - 0.5, cells)


def _expanded_weights(start: Float[Array, "d"], end: Float[Array, "d"], pixels: int, cells: int) -> Float[Array, "d n m"]:
    padded = cells + 2
    middle, half = (start + end) * 0.5, (end - start) * 0.5 * (padded / cells)
    first, last = jnp.trunc(middle - half)[:, None], jnp.trunc(middle + half)[:, None]
    pixel = jnp.arange(pixels, dtype=start.dtype)[None, :]
    index = (pixel - first + 0.5) * padded / jnp.maximum(last - first + 1, 1) - 0.5
    # The reference repeats the border inside the box and leaves the rest empty; the border is the ring of zeros, so hats
    # that fade to zero around the ring are the same.
    return hat_weights(index, padded)
