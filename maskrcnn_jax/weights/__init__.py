"""Weights of other systems: arrays <-> variables, and readers of their files."""

from maskrcnn_jax.weights.detectors import from_arrays, to_arrays
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import read_weights
from maskrcnn_jax.weights.names import System
from maskrcnn_jax.weights.torchvision import backbone_from_torchvision

__all__ = ["System", "WeightsError", "backbone_from_torchvision", "from_arrays", "read_weights", "to_arrays"]
