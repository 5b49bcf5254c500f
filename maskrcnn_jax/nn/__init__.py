"""Flax modules: arrays in, arrays out, a leading batch of images or of RoIs."""

from maskrcnn_jax.nn.box_head import BoxHead
from maskrcnn_jax.nn.fpn import Fpn
from maskrcnn_jax.nn.mask_head import MaskHead
from maskrcnn_jax.nn.resnet import STAGES, ResNet, trunk_channels
from maskrcnn_jax.nn.rpn_head import RpnHead

__all__ = ["STAGES", "BoxHead", "Fpn", "MaskHead", "ResNet", "RpnHead", "trunk_channels"]
