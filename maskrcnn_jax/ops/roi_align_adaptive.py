"""RoIAlign with as many samples as a RoI has cells."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.ops.interpolation import adaptive_positions
from maskrcnn_jax.ops.roi_align import in_cells, stack_levels

ROIS_AT_ONCE = 128  # RoIs of like size go together: a group's loop is as long as its largest needs


def roi_align_adaptive(
    pyramid: Sequence[Float[Array, "_h _w c"]],
    boxes: Float[Array, "r 4"],
    levels: Int[Array, "r"],
    *,
    strides: Sequence[float],
    size: int,
    aligned: bool,
) -> tuple[Float[Array, "r {size} {size} c"], Int[Array, ""]]:
    """RoIAlign with ceil(side in cells / `size`) samples a bin side, each RoI its own number on each axis.

    Exact for RoIs inside the image: none needs more samples than the longest side of the pyramid gives. Gradients reach the
    pyramid, not the boxes.

    Args:
      pyramid: feature maps of one image, finest first.
      boxes: RoIs in canvas pixels; padding rows may hold any finite box.
      levels: index into `pyramid` of each RoI.
      strides: canvas pixels a cell, one a level.
      size: bins a side.
      aligned: cell centres lie at +0.5; otherwise at integers, and RoIs are at least one cell wide.

    Returns:
      Features, and the number of RoIs that reach so far beyond the image that they got fewer samples than they need.

    Raises:
      ValueError: `size` is not positive, or `strides` and `pyramid` differ in length.

    Source: He et al. 2017, section 3; the number of samples is that of Detectron2 with SAMPLING_RATIO 0.
    """
    cells, offsets, heights, widths = stack_levels(pyramid, strides, size)
    scale = 1 / jnp.asarray(strides, boxes.dtype)
    start, side = in_cells(jax.lax.stop_gradient(boxes) * scale[levels, None], aligned)
    bound = max(-(-max(level.shape[:2]) // size) for level in pyramid)
    y, wy = _axis(start[:, 1], side[:, 1], heights[levels], size, bound)
    x, wx = _axis(start[:, 0], side[:, 0], widths[levels], size, bound)
    needed = jnp.ceil(side / size)
    counts = jnp.clip(needed, 0, bound).astype(jnp.int32) + 1  # n points at most a cell apart touch n + 1 cells
    order = jnp.argsort(counts[:, 0] * counts[:, 1])
    taps = _Taps(y, x, wy, wx, counts, offsets[levels], heights[levels], widths[levels])
    pooled = _sum_taps(cells, jax.tree.map(lambda value: value[order], taps))
    return pooled[jnp.argsort(order)], jnp.sum(jnp.any(needed > bound, axis=1))


class _Taps(NamedTuple):
    """Of each RoI: first cell of each bin and weights from there on, by axis; cells a bin (x, y); its level."""

    y: Int[Array, "*r q"]
    x: Int[Array, "*r q"]
    wy: Float[Array, "*r q t"]
    wx: Float[Array, "*r q t"]
    counts: Int[Array, "*r 2"]
    offset: Int[Array, "*r"]
    height: Int[Array, "*r"]
    width: Int[Array, "*r"]

    def read(self, k: Array) -> tuple[Int[Array, "r q q"], Float[Array, "r q q"]]:
        """The cells that bins read at step `k` of their RoI's walk over its taps, row by row, and their weights."""
        t, u = k // self.counts[:, 0], k % self.counts[:, 0]
        y = jnp.minimum(self.y + t[:, None], self.height[:, None] - 1)  # beyond the map, as beyond a RoI's taps, weights are 0
        x = jnp.minimum(self.x + u[:, None], self.width[:, None] - 1)
        rows = self.offset[:, None] + y * self.width[:, None]
        wy = jnp.take_along_axis(self.wy, jnp.minimum(t, self.wy.shape[2] - 1)[:, None, None], axis=2)[:, :, 0]
        wx = jnp.take_along_axis(self.wx, u[:, None, None], axis=2)[:, :, 0]
        within = (t < self.counts[:, 1]).astype(wy.dtype)[:, None, None]
        return rows[:, :, None] + x[:, None, :], wy[:, :, None] * wx[:, None, :] * within


def _axis(
    start: Float[Array, "r"], side: Float[Array, "r"], limit: Int[Array, "r"], size: int, bound: int
) -> tuple[Int[Array, "r q"], Float[Array, "r q t"]]:
    """First cell that each bin reads along one axis, and the weights of the cells from there on."""
    position, share = adaptive_positions(start, side, size, bound)
    last = (limit - 1).astype(position.dtype)[:, None, None]
    inside = (position >= -1) & (position <= last + 1)
    clamped = jnp.clip(position, 0, last)
    first = jnp.floor(clamped[:, :, 0])
    steps = jnp.arange(bound + 1, dtype=position.dtype)

    def of_cell(step: Array) -> Array:
        hats = jnp.maximum(0, 1 - jnp.abs(clamped - (first + step)[:, :, None]))
        return jnp.sum(jnp.where(inside, hats, 0) * share[:, None, :], axis=2)

    return first.astype(jnp.int32), jnp.moveaxis(jax.lax.map(of_cell, steps), 0, 2)


def _grouped(taps: _Taps) -> _Taps:
    """RoIs in groups of ROIS_AT_ONCE, the last one repeated where some are missing: what it yields is cut off."""
    missing = -taps.counts.shape[0] % ROIS_AT_ONCE
    filled = jax.tree.map(lambda x: jnp.pad(x, ((0, missing), *((0, 0),) * (x.ndim - 1)), mode="edge"), taps)
    return jax.tree.map(lambda x: x.reshape(-1, ROIS_AT_ONCE, *x.shape[1:]), filled)


def _steps(taps: _Taps) -> Int[Array, ""]:
    return jnp.max(taps.counts[:, 0] * taps.counts[:, 1])


@jax.custom_vjp
def _sum_taps(cells: Float[Array, "n c"], taps: _Taps) -> Float[Array, "r q q c"]:
    """Each bin's weighted sum of the cells it touches."""

    def of_group(group: _Taps) -> Float[Array, "r q q c"]:
        def add(k: Array, total: Array) -> Array:
            return total + weighted(k)

        def weighted(k: Array) -> Array:
            index, weights = group.read(k)
            return cells[index].astype(weights.dtype) * weights[..., None]

        total = jax.lax.fori_loop(1, _steps(group), add, weighted(jnp.zeros((), jnp.int32)))
        return total.astype(cells.dtype)

    pooled = jax.lax.map(of_group, _grouped(taps))
    return pooled.reshape(-1, *pooled.shape[2:])[: taps.counts.shape[0]]


def _forward(cells: Float[Array, "n c"], taps: _Taps) -> tuple[Array, tuple[Array, _Taps]]:
    return _sum_taps(cells, taps), (cells, taps)


def _backward(residuals: tuple[Array, _Taps], gradient: Float[Array, "r q q c"]) -> tuple[Array, None]:
    cells, taps = residuals
    missing = -gradient.shape[0] % ROIS_AT_ONCE
    grouped = jnp.pad(gradient, ((0, missing), (0, 0), (0, 0), (0, 0))).reshape(-1, ROIS_AT_ONCE, *gradient.shape[1:])

    def add_group(total: Array, group: tuple[_Taps, Array]) -> tuple[Array, None]:
        own, rows = group

        def add(k: Array, total: Array) -> Array:
            index, weights = own.read(k)
            return total.at[index].add(rows.astype(weights.dtype) * weights[..., None])

        return jax.lax.fori_loop(0, _steps(own), add, total), None

    total, _ = jax.lax.scan(add_group, jnp.zeros_like(cells.astype(taps.wy.dtype)), (_grouped(taps), grouped))
    return total.astype(cells.dtype), None


_sum_taps.defvjp(_forward, _backward)
