"""Weights of other systems: arrays <-> variables, their files, and where they are published."""

from maskrcnn_jax.weights.classifiers import backbone_from_classifier
from maskrcnn_jax.weights.detectors import CLASS_LAYERS, from_arrays, to_arrays
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, read_weights
from maskrcnn_jax.weights.names import System
from maskrcnn_jax.weights.published import EPSILON_ZERO, PUBLISHED, Progress, has_digest, locate
from maskrcnn_jax.weights.recognise import Origin, differences, recognise, system_of
from maskrcnn_jax.weights.writing import write_weights

__all__ = [
    "CLASS_LAYERS",
    "EPSILON_ZERO",
    "PUBLISHED",
    "Arrays",
    "Origin",
    "Progress",
    "System",
    "WeightsError",
    "backbone_from_classifier",
    "differences",
    "from_arrays",
    "has_digest",
    "locate",
    "read_weights",
    "recognise",
    "system_of",
    "to_arrays",
    "write_weights",
]
