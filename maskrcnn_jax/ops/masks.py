"""Masks as grids in frames: targets for the mask head, and pasting into the image."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from maskrcnn_jax.ops.interpolation import bin_positions, hat_weights, taps_or_zero


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
        start, end = boxes[:, axis], boxes[:, axis + 2]
        side = end - start if aligned else jnp.maximum(end - start, 1)
        position = bin_positions(start if aligned else start + 0.5, side, size, samples)
        inside = (position >= -0.5) & (position <= image_size[1 - axis] + 0.5)
        position = jnp.clip(position, 0.5, image_size[1 - axis] - 0.5)
        origin, limit = frames[gt_indices, axis], frames[gt_indices, axis + 2]
        cell = ((limit - origin) / cells)[:, None, None]
        taps, weights = taps_or_zero((position - origin[:, None, None]) / cell - 0.5, cells)
        weights = weights * inside[..., None].astype(weights.dtype) / samples
        index.append((taps.reshape(-1, size, 2 * samples), weights.reshape(-1, size, 2 * samples)))
    (y, wy), (x, wx) = index
    values = masks[gt_indices[:, None, None, None, None], y[:, :, :, None, None], x[:, None, None, :, :]]
    return jnp.sum(values.astype(wy.dtype) * wy[:, :, :, None, None] * wx[:, None, None, :, :], axis=(2, 4)) / 255


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
