"""Pure functions of one image's arrays: fixed shapes, no parameters, no configuration."""

from maskrcnn_jax.ops.anchors import base_anchors, grid_anchors
from maskrcnn_jax.ops.box_coding import decode_boxes, encode_boxes
from maskrcnn_jax.ops.boxes import box_area, clip_boxes, has_sides
from maskrcnn_jax.ops.input import normalise
from maskrcnn_jax.ops.iou import pairwise_intersection, pairwise_ioa, pairwise_iou
from maskrcnn_jax.ops.losses import binary_cross_entropy, cross_entropy, masked_ratio, ratio_value, smooth_l1
from maskrcnn_jax.ops.masks import mask_targets, mask_targets_adaptive, paste_masks
from maskrcnn_jax.ops.matching import Matches, covered, match
from maskrcnn_jax.ops.nms import first_true, nms, suppress
from maskrcnn_jax.ops.roi_align import roi_align, roi_levels
from maskrcnn_jax.ops.roi_align_adaptive import roi_align_adaptive
from maskrcnn_jax.ops.sampling import Samples, sample_balanced

__all__ = [
    "Matches",
    "Samples",
    "base_anchors",
    "binary_cross_entropy",
    "box_area",
    "clip_boxes",
    "covered",
    "cross_entropy",
    "decode_boxes",
    "encode_boxes",
    "first_true",
    "grid_anchors",
    "has_sides",
    "mask_targets",
    "mask_targets_adaptive",
    "masked_ratio",
    "match",
    "nms",
    "normalise",
    "pairwise_intersection",
    "pairwise_ioa",
    "pairwise_iou",
    "paste_masks",
    "ratio_value",
    "roi_align",
    "roi_align_adaptive",
    "roi_levels",
    "sample_balanced",
    "smooth_l1",
    "suppress",
]
