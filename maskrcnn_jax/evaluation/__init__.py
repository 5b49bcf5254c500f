"""Results -> COCO JSON and metrics; pycocotools does the matching."""

from maskrcnn_jax.evaluation.ground_truth import AnnotatedSource, ExampleSource, ground_truth, joined
from maskrcnn_jax.evaluation.lvis import LVIS_DETECTIONS, evaluate_lvis, is_federated
from maskrcnn_jax.evaluation.matching import Metrics
from maskrcnn_jax.evaluation.metrics import evaluate
from maskrcnn_jax.evaluation.outcomes import outcomes
from maskrcnn_jax.evaluation.results import PredictionsFile, to_coco, write_results
from maskrcnn_jax.evaluation.table import class_rows, class_table, summary_lines

__all__ = [
    "LVIS_DETECTIONS",
    "AnnotatedSource",
    "ExampleSource",
    "Metrics",
    "PredictionsFile",
    "class_rows",
    "class_table",
    "evaluate",
    "evaluate_lvis",
    "ground_truth",
    "is_federated",
    "joined",
    "outcomes",
    "summary_lines",
    "to_coco",
    "write_results",
]
