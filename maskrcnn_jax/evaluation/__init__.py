"""Results -> COCO JSON and metrics; pycocotools does the matching."""

from maskrcnn_jax.evaluation.bootstrap import CONFIDENCE, RESAMPLES, SEED, Interval, Resampled, bootstrap, interval
from maskrcnn_jax.evaluation.calibration import Calibration, calibration
from maskrcnn_jax.evaluation.coco_run import Kind, run_coco
from maskrcnn_jax.evaluation.confusion import MATCH_IOU, Confusion, confusion
from maskrcnn_jax.evaluation.crowding import Crowding, crowding
from maskrcnn_jax.evaluation.curves import Curves, curves
from maskrcnn_jax.evaluation.error_types import ERROR_TYPES, ErrorSplit, ErrorType, error_types
from maskrcnn_jax.evaluation.ground_truth import AnnotatedSource, ExampleSource, ground_truth, joined
from maskrcnn_jax.evaluation.lvis import LVIS_DETECTIONS, evaluate_lvis, is_federated
from maskrcnn_jax.evaluation.matching import Metrics
from maskrcnn_jax.evaluation.metrics import evaluate
from maskrcnn_jax.evaluation.outcomes import outcomes
from maskrcnn_jax.evaluation.overlaps import Overlaps, overlaps
from maskrcnn_jax.evaluation.results import PredictionsFile, from_coco, to_coco, write_results
from maskrcnn_jax.evaluation.table import class_rows, class_table, summary_lines

__all__ = [
    "CONFIDENCE",
    "ERROR_TYPES",
    "LVIS_DETECTIONS",
    "MATCH_IOU",
    "RESAMPLES",
    "SEED",
    "AnnotatedSource",
    "Calibration",
    "Confusion",
    "Crowding",
    "Curves",
    "ErrorSplit",
    "ErrorType",
    "ExampleSource",
    "Interval",
    "Kind",
    "Metrics",
    "Overlaps",
    "PredictionsFile",
    "Resampled",
    "bootstrap",
    "calibration",
    "class_rows",
    "class_table",
    "confusion",
    "crowding",
    "curves",
    "error_types",
    "evaluate",
    "evaluate_lvis",
    "from_coco",
    "ground_truth",
    "interval",
    "is_federated",
    "joined",
    "outcomes",
    "overlaps",
    "run_coco",
    "summary_lines",
    "to_coco",
    "write_results",
]
