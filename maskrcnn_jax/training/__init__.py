"""Optimizer, step, metrics, loop."""

from maskrcnn_jax.training.dry_run import dry_run
from maskrcnn_jax.training.inputs import check_classes
from maskrcnn_jax.training.loop import NonFiniteError, train
from maskrcnn_jax.training.start import check_variables, initial_variables
from maskrcnn_jax.training.validate import Evaluation, validate

__all__ = [
    "Evaluation",
    "NonFiniteError",
    "check_classes",
    "check_variables",
    "dry_run",
    "initial_variables",
    "train",
    "validate",
]
