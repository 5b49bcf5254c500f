"""What the page computes with: candidates of class NMS, thresholds and ground truth, ready for JSON."""

from typing import Any

import numpy as np
from jaxtyping import Float32

from maskrcnn_jax import visualize
from maskrcnn_jax.reports.inspect.walking import Walk
from maskrcnn_jax.visualize.colors import ASIDE, FOUND, MISSED, WRONG, Color, class_color


def record_of(walk: Walk, *, score_threshold: float, iou: float) -> dict[str, Any]:
    """The numbers of the page's sliders.

    All boxes are in pixels of the resized image, `size` (height, width). Floats are the shortest decimals that are the same float32, so
    that the page can compute what `stages.detect` computes: greedy NMS, class by class, on those of `candidates`, best first, whose
    score is above a threshold; `max_detections` of them at most.

    Args:
      walk: of the image.
      score_threshold: above which detections are shown, to begin with.
      iou: from which a detection and an object are matched, to begin with.

    Returns:
      `size`, `thresholds` (score, nms, iou, to begin with), `own` (the model's score and nms), `max_detections`, `floor` (a score
      below which there are more candidates than enter class NMS, 0 where there is none), `categories` (name and colour a label, the
      first of label 1), `colors` (of outcomes), `candidates` (boxes, scores, labels), `outlines` (of the masks that the model draws:
      candidate -> path of an SVG), and `truth` (boxes, labels, crowd; None where there is none).
    """
    detect, found = walk.config.model.detect, walk.trace.candidates
    boxes, scores, labels = (values[found.valid] for values in (found.boxes, found.scores, found.labels))
    truth = walk.resized
    return {
        "size": list(walk.resized.image.shape[:2]),
        "thresholds": {"score": score_threshold, "nms": detect.nms_threshold, "iou": iou},
        "own": {"score": detect.score_threshold, "nms": detect.nms_threshold},
        "max_detections": detect.max_detections,
        "floor": float(str(found.scores.min())) if found.cut else 0.0,
        "categories": [{"name": category.name, "color": css(class_color(i))} for i, category in enumerate(walk.categories, 1)],
        "colors": {"found": css(FOUND), "wrong": css(WRONG), "missed": css(MISSED), "aside": css(ASIDE)},
        "candidates": {"boxes": _rows(boxes), "scores": _row(scores), "labels": labels.tolist()},
        "outlines": _outlines(walk, boxes, scores, labels),
        "truth": {"boxes": _rows(truth.boxes), "labels": truth.labels.tolist(), "crowd": truth.crowd.tolist()}
        if walk.training is not None
        else None,
    }


def css(color: Color) -> str:
    """A colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _outlines(walk: Walk, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> dict[str, str]:
    """Of each detection's candidate, its mask as an SVG path in pixels of the resized image."""
    detections, paths = walk.trace.detections, {}
    shown, own = walk.resized.image.shape[:2], walk.example.image.shape[:2]
    factor = visualize.readable(walk.example.image)[1]
    scale = np.array([shown[1] / own[1], shown[0] / own[0]])
    for row, mask in enumerate(walk.result.masks):
        same = (labels == detections.labels[row]) & (scores == detections.scores[row]) & (boxes == detections.boxes[row]).all(axis=1)
        rings = (np.round(points * scale, 1 if factor == 1 else 2) for points in visualize.outlines(mask, factor))
        paths[str(np.flatnonzero(same)[0])] = "".join("M" + " ".join(f"{x:g},{y:g}" for x, y in ring) + "Z" for ring in rings)
    return paths


def _row(values: Float32[np.ndarray, "n"]) -> list[float]:
    return [float(str(value)) for value in values]


def _rows(values: Float32[np.ndarray, "n 4"]) -> list[list[float]]:
    return [_row(row) for row in values]
