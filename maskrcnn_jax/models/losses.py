"""The five losses of Mask R-CNN as ratios over the batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax import ops
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.models.traces import Features, Losses
from maskrcnn_jax.structs import AnchorSamples, RoiSamples


def rpn_losses(features: Features, samples: AnchorSamples, config: ModelConfig) -> Losses:
    """Objectness and box loss of the sampled anchors.

    Args:
      features: with the RPN's outputs.
      samples: of every image, a leading b.
      config: the model.

    Source: Ren et al. 2015, eq. 1; the denominators of torchvision (`sampled`) and Detectron2 (`capacity`).
    """
    logits = jnp.take_along_axis(jnp.concatenate(features.objectness, axis=1), samples.indices, axis=1)
    deltas = jnp.take_along_axis(jnp.concatenate(features.deltas, axis=1), samples.indices[..., None], axis=1)
    anchors = jnp.concatenate(features.anchors)[samples.indices]
    targets = ops.encode_boxes(samples.gt_boxes, anchors, weights=config.propose.coder_weights)
    # `capacity` is that of the images of which something is sampled: a void one has none.
    counted = jnp.any(samples.valid, axis=1, keepdims=True) if config.loss.rpn_denominator == "capacity" else samples.valid
    count = jnp.sum(jnp.broadcast_to(counted, samples.valid.shape))
    denominator = jnp.asarray(count, logits.dtype)
    class_loss = ops.binary_cross_entropy(logits, samples.positive.astype(logits.dtype))
    box_loss = ops.smooth_l1(deltas, targets, beta=config.loss.rpn_box_beta)
    return {
        "rpn_class": ops.masked_ratio(class_loss, samples.valid, denominator),
        "rpn_box": ops.masked_ratio(box_loss, samples.positive, denominator),
    }


def roi_losses(
    class_logits: Float[Array, "b r k"], box_deltas: Float[Array, "b r _k 4"], samples: RoiSamples, config: ModelConfig
) -> Losses:
    """Class and box loss of the sampled RoIs.

    Args:
      class_logits: 0 is background.
      box_deltas: a class, or one for all.
      samples: of every image, a leading b.
      config: the model.

    Source: Girshick 2015, eq. 1; both are divided by the number of sampled RoIs.
    """
    denominator = jnp.sum(samples.valid).astype(class_logits.dtype)
    targets = ops.encode_boxes(samples.gt_boxes, samples.boxes, weights=config.detect.coder_weights)
    box_loss = ops.smooth_l1(of_label(box_deltas, samples.labels), targets, beta=config.loss.roi_box_beta)
    return {
        "class": ops.masked_ratio(ops.cross_entropy(class_logits, samples.labels), samples.valid, denominator),
        "box": ops.masked_ratio(box_loss, samples.valid & (samples.labels > 0), denominator),
    }


def mask_losses(mask_logits: Float[Array, "b s m m _k"], targets: Float[Array, "b s m m"], samples: RoiSamples) -> Losses:
    """Binary cross entropy of the positive RoIs' own class, a mean over their cells.

    Args:
      mask_logits: a class, or one for all.
      targets: coverage, 0 ... 1.
      samples: the same s RoIs of every image.

    Source: He et al. 2017, section 3.
    """
    logits = of_label(jnp.moveaxis(mask_logits, -1, 2), samples.labels)
    positive = samples.valid & (samples.labels > 0)
    loss = jnp.mean(ops.binary_cross_entropy(logits, targets), axis=(2, 3))
    return {"mask": ops.masked_ratio(loss, positive, jnp.sum(positive).astype(loss.dtype))}


def of_label(values: Float[Array, "b r _k *rest"], labels: Array) -> Float[Array, "b r *rest"]:
    """Each RoI's row for its own class, or the only row there is."""
    if values.shape[2] == 1:
        return values[:, :, 0]
    index = labels.reshape(*labels.shape, *(1,) * (values.ndim - 2))
    return jnp.take_along_axis(values, index, axis=2)[:, :, 0]
