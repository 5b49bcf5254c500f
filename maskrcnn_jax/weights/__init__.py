"""Weights of other systems: arrays <-> variables, their files, and where they are published."""

from maskrcnn_jax.weights.classifiers import backbone_from_classifier, backbone_to_classifier
from maskrcnn_jax.weights.detectors import CLASS_LAYERS, from_arrays, to_arrays
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, read_weights
from maskrcnn_jax.weights.names import System
from maskrcnn_jax.weights.published import PUBLISHED, cache_folder, locate, read_source
from maskrcnn_jax.weights.recognise import Origin, differences, other_numerics, recognise, system_of, unlike_published
from maskrcnn_jax.weights.stem import inflate, stem_path
from maskrcnn_jax.weights.writing import require_new, write_weights

__all__ = [
    "CLASS_LAYERS",
    "PUBLISHED",
    "Arrays",
    "Origin",
    "System",
    "WeightsError",
    "backbone_from_classifier",
    "backbone_to_classifier",
    "cache_folder",
    "differences",
    "from_arrays",
    "inflate",
    "locate",
    "other_numerics",
    "read_source",
    "read_weights",
    "recognise",
    "require_new",
    "stem_path",
    "system_of",
    "to_arrays",
    "unlike_published",
    "write_weights",
]
