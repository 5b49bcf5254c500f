"""Mask R-CNN in JAX, as a chain of pure functions."""

from maskrcnn_jax import ops
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.config import ConfigError, ExperimentConfig, ModelConfig, load_experiment
from maskrcnn_jax.data import CocoSource, DataError, ShapesSource
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.inference import Predictor, load
from maskrcnn_jax.models import Model, build
from maskrcnn_jax.structs import Batch, Category, Detections, Example, Instances, Proposals, Result
from maskrcnn_jax.training import Evaluation, Interrupted, NonFiniteError, train, validate
from maskrcnn_jax.weights import WeightsError

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Category",
    "CheckpointError",
    "CocoSource",
    "ConfigError",
    "DataError",
    "Detections",
    "Evaluation",
    "Example",
    "ExperimentConfig",
    "Instances",
    "Interrupted",
    "Model",
    "ModelConfig",
    "NonFiniteError",
    "Predictor",
    "Proposals",
    "Result",
    "ShapesSource",
    "UserError",
    "WeightsError",
    "build",
    "load",
    "load_experiment",
    "ops",
    "train",
    "validate",
]
