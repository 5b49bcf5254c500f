"""RoIAlign over a feature pyramid."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.ops.boxes import box_area
from maskrcnn_jax.ops.interpolation import bin_positions, taps_clamped

ROIS_AT_ONCE = 128  # bounds the gradient's memory: samples x channels of so many RoIs


def roi_levels(
    boxes: Float[Array, "r 4"],
    *,
    levels: int,
    finest: int,
    canonical_size: float,
    canonical_level: int,
    epsilon: float,
    epsilon_at: Literal["log", "ratio"],
) -> Int[Array, "r"]:
    """Index, 0 for the finest, of the pyramid level each RoI is read from.

    Args:
      boxes: canvas pixels.
      levels: number of levels to choose from.
      finest: exponent of the finest level's stride (2 for P2).
      canonical_size: a RoI whose area has this square root, canvas pixels, is read from `canonical_level`.
      canonical_level: exponent of that level's stride.
      epsilon: guards exact powers of two against rounding.
      epsilon_at: added to the logarithm, or to the ratio inside it.

    Source: Lin et al. 2017, eq. 1.
    """
    ratio = jnp.sqrt(box_area(boxes)) / canonical_size
    tiny = jnp.finfo(boxes.dtype).tiny
    if epsilon_at == "ratio":
        level = canonical_level + jnp.log2(jnp.maximum(ratio + epsilon, tiny))
    else:
        level = canonical_level + jnp.log2(jnp.maximum(ratio, tiny)) + epsilon
    return jnp.clip(jnp.floor(level) - finest, 0, levels - 1).astype(jnp.int32)


def roi_align(
    pyramid: Sequence[Float[Array, "_h _w c"]],
    boxes: Float[Array, "r 4"],
    levels: Int[Array, "r"],
    *,
    strides: Sequence[float],
    size: int,
    samples: int,
    aligned: bool,
) -> Float[Array, "r {size} {size} c"]:
    """Mean of bilinear samples in each bin of each RoI, read from the RoI's own level only.

    Args:
      pyramid: feature maps of one image, finest first.
      boxes: RoIs in canvas pixels; padding rows may hold any finite box.
      levels: index into `pyramid` of each RoI.
      strides: canvas pixels a cell, one a level.
      size: bins a side.
      samples: points a bin side.
      aligned: cell centres lie at +0.5; otherwise at integers, and RoIs are at least one cell wide.

    Raises:
      ValueError: `size` or `samples` is not positive, or `strides` and `pyramid` differ in length.

    Source: He et al. 2017, section 3.
    """
    if min(size, samples) < 1 or len(strides) != len(pyramid):
        raise ValueError(f"roi_align: size={size}, samples={samples}, {len(pyramid)} levels with {len(strides)} strides")
    cells = jnp.concatenate([level.reshape(-1, level.shape[-1]) for level in pyramid])
    heights = jnp.asarray([level.shape[0] for level in pyramid], jnp.int32)
    widths = jnp.asarray([level.shape[1] for level in pyramid], jnp.int32)
    offsets = jnp.cumsum(heights * widths) - heights * widths
    scale = 1 / jnp.asarray(strides, boxes.dtype)

    def pool(roi: tuple[Float[Array, "4"], Int[Array, ""]]) -> Float[Array, "q q c"]:
        box, level = roi
        start, side = _in_cells(box * scale[level], aligned)
        y, wy = _taps(start[1:], side[1:], heights[level], size, samples)
        x, wx = _taps(start[:1], side[:1], widths[level], size, samples)
        index = offsets[level] + y[:, :, None, None] * widths[level] + x[None, None, :, :]
        weights = wy[:, :, None, None] * wx[None, None, :, :]
        return jnp.sum(cells[index] * weights[..., None].astype(cells.dtype), axis=(1, 3))

    return jax.lax.map(pool, (boxes, levels), batch_size=ROIS_AT_ONCE)


def _in_cells(box: Float[Array, "4"], aligned: bool) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
    """Upper left corner in cell indices, and sides in cells, both (x, y)."""
    side = box[2:] - box[:2]
    return (box[:2] - 0.5, side) if aligned else (box[:2], jnp.maximum(side, 1))


def _taps(
    start: Float[Array, "1"], side: Float[Array, "1"], limit: Int[Array, ""], size: int, samples: int
) -> tuple[Int[Array, "q t"], Float[Array, "q t"]]:
    """Cells each bin reads along one axis, and their weights; a bin's weights sum to 1 inside the map."""
    index = bin_positions(start, side, size, samples)[0]
    cells, weights = taps_clamped(index, jnp.broadcast_to(limit, index.shape))
    return cells.reshape(size, -1), weights.reshape(size, -1) / samples
