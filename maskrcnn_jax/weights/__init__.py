"""Weights of other systems: arrays <-> variables, and readers of their files."""

from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import read_npz
from maskrcnn_jax.weights.torchvision import backbone_from_torchvision

__all__ = ["WeightsError", "backbone_from_torchvision", "read_npz"]
