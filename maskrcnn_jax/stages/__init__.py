"""Ops and their sub-config to the next struct: one image, no modules, no parameters."""

from maskrcnn_jax.stages.assign import assign_anchors, assign_rois
from maskrcnn_jax.stages.detect import classify, detect
from maskrcnn_jax.stages.propose import FINEST, propose, pyramid_anchors, usable_anchors

__all__ = ["FINEST", "assign_anchors", "assign_rois", "classify", "detect", "propose", "pyramid_anchors", "usable_anchors"]
