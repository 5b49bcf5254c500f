"""RoIAlign over a feature pyramid."""

import itertools
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.ops.boxes import box_area
from maskrcnn_jax.ops.interpolation import bin_positions, taps_clamped

BINS_AT_ONCE = 128 * 7 * 7  # bounds memory: taps x channels of so many bins


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
    if samples < 1:
        raise ValueError(f"roi_align: samples={samples} must be positive")
    cells, offsets, heights, widths = stack_levels(pyramid, strides, size)
    scale = 1 / jnp.asarray(strides, boxes.dtype)
    start, side = in_cells(boxes * scale[levels, None], aligned)
    y, wy = _taps(start[:, 1], side[:, 1], heights[levels], size, samples)
    x, wx = _taps(start[:, 0], side[:, 0], widths[levels], size, samples)
    rows = offsets[levels, None, None] + y * widths[levels, None, None]
    return _sum_taps(cells, rows, x, wy, wx)


def stack_levels(
    pyramid: Sequence[Float[Array, "_h _w c"]], strides: Sequence[float], size: int
) -> tuple[Float[Array, "n c"], Int[Array, "l"], Int[Array, "l"], Int[Array, "l"]]:
    """Cells of all levels in one array; and of each level its first cell there, its height and its width.

    Raises:
      ValueError: `size` is not positive, or `strides` and `pyramid` differ in length.
    """
    if size < 1 or len(strides) != len(pyramid):
        raise ValueError(f"RoIAlign: size={size}, {len(pyramid)} levels with {len(strides)} strides")
    cells = jnp.concatenate([level.reshape(-1, level.shape[-1]) for level in pyramid])
    heights = jnp.asarray([level.shape[0] for level in pyramid], jnp.int32)
    widths = jnp.asarray([level.shape[1] for level in pyramid], jnp.int32)
    return cells, jnp.cumsum(heights * widths) - heights * widths, heights, widths


def in_cells(boxes: Float[Array, "r 4"], aligned: bool) -> tuple[Float[Array, "r 2"], Float[Array, "r 2"]]:
    """Upper left corners in cell indices, and sides in cells, both (x, y)."""
    side = boxes[:, 2:] - boxes[:, :2]
    return (boxes[:, :2] - 0.5, side) if aligned else (boxes[:, :2], jnp.maximum(side, 1))


def _tap_by_tap(
    cells: Float[Array, "n c"],
    rows: Int[Array, "r q t"],
    columns: Int[Array, "r q t"],
    wy: Float[Array, "r q t"],
    wx: Float[Array, "r q t"],
) -> Float[Array, "r q q c"]:
    """Bin (i, j) of a RoI: sum over taps t, u of wy[i, t] wx[j, u] cells[rows[i, t] + columns[j, u]]."""
    total = jnp.zeros((), wy.dtype)
    for t, u in itertools.product(range(rows.shape[-1]), repeat=2):
        weights = wy[:, :, None, t] * wx[:, None, :, u]
        total = total + cells[rows[:, :, None, t] + columns[:, None, :, u]].astype(wy.dtype) * weights[..., None]
    return total.astype(cells.dtype)


def _grouped(of_rois: tuple[Array, ...]) -> tuple[Array, ...]:
    """Arrays of RoIs in groups of `BINS_AT_ONCE` bins, the last one filled with zeros."""
    count, bins = of_rois[0].shape[:2]
    size = max(1, BINS_AT_ONCE // bins**2)
    filled = (jnp.pad(x, ((0, -count % size), *((0, 0),) * (x.ndim - 1))) for x in of_rois)
    return tuple(x.reshape(-1, size, *x.shape[1:]) for x in filled)


@jax.custom_vjp
def _sum_taps(
    cells: Float[Array, "n c"],
    rows: Int[Array, "r q t"],
    columns: Int[Array, "r q t"],
    wy: Float[Array, "r q t"],
    wx: Float[Array, "r q t"],
) -> Float[Array, "r q q c"]:
    """The same, group by group: XLA's CPU compiler keeps what every tap of a group reads before it adds the first."""
    pooled = jax.lax.map(lambda group: _tap_by_tap(cells, *group), _grouped((rows, columns, wy, wx)))
    return pooled.reshape(-1, *pooled.shape[2:])[: rows.shape[0]]


def _forward(*operands: Array) -> tuple[Array, tuple[Array, ...]]:
    return _sum_taps(*operands), operands


def _backward(operands: tuple[Array, ...], gradient: Float[Array, "r q q c"]) -> tuple[Array | None, ...]:
    cells, rows, columns, wy, wx = operands
    # Many RoIs read a cell: what they send it is summed in the weights' dtype, however few bits the cells have.
    wide = gradient.astype(wy.dtype)

    # All taps of a group in one scatter: XLA's CPU compiler is several times slower at one a tap.
    def add(total: Float[Array, "n c"], group: tuple[Array, ...]) -> tuple[Float[Array, "n c"], None]:
        rows, columns, wy, wx, given = group
        weights = wy[:, :, :, None, None] * wx[:, None, None, :, :]
        read = rows[:, :, :, None, None] + columns[:, None, None, :, :]
        return total.at[read].add(weights[..., None] * given[:, :, None, :, None]), None

    # Zeros that are not there before the gradient is: XLA's CPU compiler makes constants long before it needs them.
    zeros = jnp.zeros(cells.shape, wide.dtype) + 0 * jnp.sum(wide[:1, 0, 0, 0])
    to_cells = jax.lax.scan(add, zeros, _grouped((rows, columns, wy, wx, wide)))[0]
    to_weights = jax.vjp(lambda wy, wx: _tap_by_tap(cells, rows, columns, wy, wx), wy, wx)[1](gradient)
    return to_cells.astype(cells.dtype), None, None, *to_weights


_sum_taps.defvjp(_forward, _backward)


def _taps(
    start: Float[Array, "r"], side: Float[Array, "r"], limit: Int[Array, "r"], size: int, samples: int
) -> tuple[Int[Array, "r q t"], Float[Array, "r q t"]]:
    """Cells each bin reads along one axis, and their weights; a bin's weights sum to 1 inside the map."""
    index = bin_positions(start, side, size, samples)
    cells, weights = taps_clamped(index, jnp.broadcast_to(limit[:, None, None], index.shape))
    return cells.reshape(-1, size, 2 * samples), weights.reshape(-1, size, 2 * samples) / samples
