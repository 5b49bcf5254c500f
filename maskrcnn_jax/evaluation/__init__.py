"""Results -> COCO JSON and metrics; pycocotools does the matching."""

from maskrcnn_jax.evaluation.ground_truth import AnnotatedSource, ExampleSource, ground_truth, joined
from maskrcnn_jax.evaluation.metrics import Metrics, evaluate
from maskrcnn_jax.evaluation.results import to_coco, write_predictions, write_results
from maskrcnn_jax.evaluation.table import class_table, summary_lines

__all__ = [
    "AnnotatedSource",
    "ExampleSource",
    "Metrics",
    "class_table",
    "evaluate",
    "ground_truth",
    "joined",
    "summary_lines",
    "to_coco",
    "write_predictions",
    "write_results",
]
