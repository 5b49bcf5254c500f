"""Optimizer, step, metrics, loop."""

from maskrcnn_jax.training.dry_run import dry_run, parameter_counts
from maskrcnn_jax.training.inputs import check_classes, check_measurable, train_batches
from maskrcnn_jax.training.interruption import EXIT_STATUS, Interrupted
from maskrcnn_jax.training.loop import train
from maskrcnn_jax.training.nonfinite import Dump, NonFiniteError, Replay, first_bad_array, read_dump, replay
from maskrcnn_jax.training.processes import ProcessError, connect, in_all, is_main
from maskrcnn_jax.training.start import check_variables, initial_variables, state_shapes
from maskrcnn_jax.training.validate import Evaluation, validate

__all__ = [
    "EXIT_STATUS",
    "Dump",
    "Evaluation",
    "Interrupted",
    "NonFiniteError",
    "ProcessError",
    "Replay",
    "check_classes",
    "check_measurable",
    "check_variables",
    "connect",
    "dry_run",
    "first_bad_array",
    "in_all",
    "initial_variables",
    "is_main",
    "parameter_counts",
    "read_dump",
    "replay",
    "state_shapes",
    "train",
    "train_batches",
    "validate",
]
