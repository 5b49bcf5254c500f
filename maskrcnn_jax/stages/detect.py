"""From the box head's outputs to detections."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax import ops
from maskrcnn_jax.config import DetectConfig
from maskrcnn_jax.structs import Candidates, Detections, Proposals


def classify(
    class_logits: Float[Array, "p k"],
    deltas: Float[Array, "p _k 4"],
    proposals: Proposals,
    size: Float[Array, "2"],
    config: DetectConfig,
) -> Candidates:
    """Score and refine one image's proposals.

    Every class of every proposal is a candidate of its own. Only candidates over the score threshold count, the best
    `config.max_candidates` of them; how many that leaves out is in `cut`.

    Args:
      class_logits: 0 is background.
      deltas: a class, or one for all classes.
      proposals: the boxes they refine.
      size: (height, width) of the image proper, canvas pixels; boxes are clipped to it.
      config: score threshold, coder and sizes.

    Source: Girshick 2015, section 3.2.
    """
    scores = jax.nn.softmax(class_logits, axis=-1)[:, 1:]
    classes = scores.shape[1]
    wanted = (scores > config.score_threshold) & proposals.valid[:, None]
    ranked = jnp.where(wanted, scores, -jnp.inf).reshape(-1)
    _, best = jax.lax.top_k(ranked, min(config.max_candidates, ranked.shape[0]))
    rows, labels = best // classes, best % classes + 1
    columns = labels if deltas.shape[1] > 1 else jnp.zeros_like(labels)
    boxes = ops.decode_boxes(deltas[rows, columns], proposals.boxes[rows], weights=config.coder_weights, max_log_scale=config.max_log_scale)
    boxes = ops.clip_boxes(boxes, size)
    return Candidates(
        boxes=boxes,
        scores=ranked[best],
        labels=labels,
        valid=wanted.reshape(-1)[best] & ops.has_sides(boxes, config.min_side),
        cut=jnp.sum(wanted) - jnp.sum(wanted.reshape(-1)[best]),
    )


def detect(candidates: Candidates, config: DetectConfig) -> Detections:
    """Suppress one image's candidates class by class; the result has no masks yet.

    Args:
      candidates: best first.
      config: NMS threshold and number of detections.

    Source: Girshick 2015, section 3.2; He et al. 2017, section 3.1.
    """
    boxes, scores, labels, valid, cut = candidates
    limit = min(config.max_detections, valid.shape[0])
    picked, kept = ops.nms(boxes, scores, valid, labels, iou_threshold=config.nms_threshold, max_output=limit)
    return Detections(
        boxes=jnp.where(kept[:, None], boxes[picked], 0),
        scores=jnp.where(kept, scores[picked], 0),
        labels=jnp.where(kept, labels[picked], 0),
        valid=kept,
        masks=None,
        mask_frames=jnp.where(kept[:, None], boxes[picked], 0),
        cut=cut,
    )
