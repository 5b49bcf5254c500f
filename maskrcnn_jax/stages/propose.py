"""From the RPN's outputs to proposals."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax import ops
from maskrcnn_jax.config import AnchorConfig, ProposeConfig
from maskrcnn_jax.structs import Proposals

FINEST = 2  # P2, stride 4


def pyramid_anchors(canvas: tuple[int, int], grids: Sequence[tuple[int, int]], config: AnchorConfig) -> tuple[Array, ...]:
    """Anchors of every level, float32[n, 4] each, in canvas pixels and order (row, column, anchor).

    Args:
      canvas: (height, width) of the canvas.
      grids: (rows, columns) of each level, P2 first.
      config: the anchors.
    """
    levels = []
    for i, (grid, size) in enumerate(zip(grids, config.sizes, strict=True)):
        base = ops.base_anchors(size, config.ratios, round_corners=config.round_base)
        level = float(2 ** (FINEST + i))
        strides = (level, level) if config.stride == "level" else (float(canvas[0] // grid[0]), float(canvas[1] // grid[1]))
        levels.append(ops.grid_anchors(base, grid, strides))
    return tuple(levels)


def usable_anchors(anchors: Float[Array, "n 4"], size: Float[Array, "2"], config: AnchorConfig) -> Bool[Array, "n"]:
    """Which anchors may be proposed and sampled.

    Args:
      anchors: canvas pixels.
      size: (height, width) of the image proper, canvas pixels.
      config: the anchors.
    """
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    inside = (centre[:, 0] < size[1]) & (centre[:, 1] < size[0])
    return inside if config.in_padding == "drop" else jnp.ones_like(inside)


def propose(
    objectness: Sequence[Float[Array, "_n"]],
    deltas: Sequence[Float[Array, "_n 4"]],
    anchors: Sequence[Float[Array, "_n 4"]],
    usable: Sequence[Bool[Array, "_n"]],
    size: Float[Array, "2"],
    config: ProposeConfig,
    *,
    pre_nms_top_k: int,
    post_nms_top_k: int,
) -> Proposals:
    """The best boxes of one image after NMS within each level.

    Args:
      objectness: logits, one array a level. Gradients stop here.
      deltas: the RPN's deltas, the same levels.
      anchors: canvas pixels, the same levels.
      usable: anchors that may be proposed, the same levels.
      size: (height, width) of the image proper, canvas pixels; boxes are clipped to it.
      config: thresholds and coder.
      pre_nms_top_k: best anchors a level that enter NMS.
      post_nms_top_k: p, proposals over all levels.

    Source: Ren et al. 2015, section 3.3; Lin et al. 2017, section 4.1.
    """
    boxes, scores, keep = [], [], []
    for logits, delta, anchor, use in zip(objectness, deltas, anchors, usable, strict=True):
        logits, delta = jax.lax.stop_gradient((logits, delta))
        _, best = jax.lax.top_k(jnp.where(use, logits, -jnp.inf), min(pre_nms_top_k, logits.shape[0]))
        rank = jax.nn.sigmoid(logits[best]) if config.rank_by == "sigmoid" else logits[best]
        box = ops.decode_boxes(delta[best], anchor[best], weights=config.coder_weights, max_log_scale=config.max_log_scale)
        box = ops.clip_boxes(box, size)
        valid = use[best] & ops.has_sides(box, config.min_side)
        keep.append(ops.suppress(box, valid, jnp.zeros(best.shape, jnp.int32), iou_threshold=config.nms_threshold))
        boxes.append(box)
        scores.append(rank)
    kept = jnp.concatenate(keep)
    ranked = jnp.where(kept, jnp.concatenate(scores), -jnp.inf)
    _, order = jax.lax.top_k(ranked, min(post_nms_top_k, ranked.shape[0]))
    valid = kept[order]
    return Proposals(
        boxes=jnp.where(valid[:, None], jnp.concatenate(boxes)[order], 0), scores=jnp.where(valid, ranked[order], 0), valid=valid
    )
