"""Which anchors and RoIs are trained on which ground truth."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax import ops
from maskrcnn_jax.config import AssignConfig
from maskrcnn_jax.structs import AnchorSamples, Instances, Proposals, RoiSamples


def assign_anchors(
    anchors: Float[Array, "n 4"],
    usable: Bool[Array, "n"],
    instances: Instances,
    priority: Float[Array, "n"],
    config: AssignConfig,
) -> AnchorSamples:
    """Match one image's anchors to its ground truth and sample them.

    Args:
      anchors: canvas pixels, all levels.
      usable: anchors that may be sampled.
      instances: the ground truth.
      priority: which of equally good candidates are sampled; uniform noise in training.
      config: thresholds and sizes.

    Source: Ren et al. 2015, section 3.1.2.
    """
    matches = ops.match(
        jnp.where(usable[:, None], anchors, 0),  # or an anchor in the padding could be an object's best, and nobody its positive
        instances.boxes,
        _objects(instances),
        foreground_iou=config.rpn_foreground_iou,
        background_iou=config.rpn_background_iou,
        low_quality=config.rpn_low_quality,
    )
    samples = ops.sample_balanced(
        matches.positive & usable,
        matches.negative & usable & ~_in_crowd(anchors, instances, config.crowd_ioa),
        priority,
        size=config.rpn_samples,
        max_positives=config.rpn_max_positives,
    )
    gt_boxes = instances.boxes[matches.gt_indices[samples.indices]]
    return AnchorSamples(samples.indices, samples.positive, gt_boxes, samples.valid)


def assign_rois(proposals: Proposals, instances: Instances, priority: Float[Array, "n"], config: AssignConfig) -> RoiSamples:
    """Match one image's proposals, and its ground truth boxes, to its ground truth and sample them.

    Args:
      proposals: gradients stop here.
      instances: the ground truth.
      priority: one a proposal, then one a ground truth (unused where those are not appended).
      config: thresholds and sizes.

    Source: He et al. 2017, section 3.1.
    """
    objects = _objects(instances)
    boxes, valid = proposals.boxes, proposals.valid
    if config.append_ground_truth:
        boxes, valid = jnp.concatenate([boxes, instances.boxes]), jnp.concatenate([valid, objects])
    boxes = jax.lax.stop_gradient(boxes)
    matches = ops.match(
        boxes,
        instances.boxes,
        objects,
        foreground_iou=config.roi_foreground_iou,
        background_iou=config.roi_background_iou,
        low_quality=False,
    )
    samples = ops.sample_balanced(
        matches.positive & valid,
        matches.negative & valid & ~_in_crowd(boxes, instances, config.crowd_ioa),
        priority[: boxes.shape[0]],
        size=config.roi_samples,
        max_positives=config.roi_max_positives,
    )
    gt_indices = matches.gt_indices[samples.indices]
    return RoiSamples(
        boxes=jnp.where(samples.valid[:, None], boxes[samples.indices], 0),
        labels=jnp.where(samples.positive, instances.labels[gt_indices], 0),
        gt_indices=gt_indices,
        gt_boxes=instances.boxes[gt_indices],
        valid=samples.valid,
    )


def _objects(instances: Instances) -> Bool[Array, "g"]:
    """Ground truth that is an object: neither padding nor a crowd."""
    return instances.valid & ~instances.crowd


def _in_crowd(boxes: Float[Array, "n 4"], instances: Instances, crowd_ioa: float | None) -> Bool[Array, "n"]:
    if crowd_ioa is None:
        return jnp.zeros(boxes.shape[0], bool)
    return ops.covered(boxes, instances.boxes, instances.valid & instances.crowd, ioa=crowd_ioa)
