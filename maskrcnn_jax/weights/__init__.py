"""Weights of other systems: arrays <-> variables, and readers of their files."""

from maskrcnn_jax.weights.classifiers import backbone_from_classifier
from maskrcnn_jax.weights.detectors import from_arrays, to_arrays
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import read_weights
from maskrcnn_jax.weights.names import System

__all__ = ["System", "WeightsError", "backbone_from_classifier", "from_arrays", "read_weights", "to_arrays"]
