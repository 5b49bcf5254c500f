"""Pages, tables and pictures that need several rooms."""

from maskrcnn_jax.reports import check_data, inspect, model_report
from maskrcnn_jax.reports.against_golden import compare_golden
from maskrcnn_jax.reports.compare import Difference, compare_checkpoints, config_differences, difference_table
from maskrcnn_jax.reports.golden import Golden, GoldenError
from maskrcnn_jax.reports.model_summary import ModelSummary, ModuleSummary, summarise, summary_table
from maskrcnn_jax.reports.operations import Operation, count_operations
from maskrcnn_jax.reports.predictions import Outputs, Predicted, predict_files, target_paths
from maskrcnn_jax.reports.training_images import TrainingImage, training_images

__all__ = [
    "Difference",
    "Golden",
    "GoldenError",
    "ModelSummary",
    "ModuleSummary",
    "Operation",
    "Outputs",
    "Predicted",
    "TrainingImage",
    "check_data",
    "compare_checkpoints",
    "compare_golden",
    "config_differences",
    "count_operations",
    "difference_table",
    "inspect",
    "model_report",
    "predict_files",
    "summarise",
    "summary_table",
    "target_paths",
    "training_images",
]
