"""Flax modules: arrays in, arrays out, a leading batch of images or of RoIs."""

from maskrcnn_jax.nn.box_head import BoxHead
from maskrcnn_jax.nn.fpn import Fpn
from maskrcnn_jax.nn.mask_head import MaskHead
from maskrcnn_jax.nn.rpn_head import RpnHead
from maskrcnn_jax.nn.trunk import build_trunk

__all__ = ["BoxHead", "Fpn", "MaskHead", "RpnHead", "build_trunk"]
