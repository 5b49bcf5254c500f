"""How the configuration's anchors fit the training objects, and which they miss."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from maskrcnn_jax.config import ExperimentConfig, InputConfig
from maskrcnn_jax.data import Size, canvas_for, resized_size
from maskrcnn_jax.reports.check_data.anchors import FIT, AnchorFit, Placed, best_iou, better_anchors, fit_of
from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.opening import training_side
from maskrcnn_jax.reports.check_data.summary import Histogram, histogram
from maskrcnn_jax.reports.check_data.survey import Survey

IOU_EDGES = tuple(float(edge) for edge in np.linspace(0, 1, 21).round(2))


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """How anchors fit the training objects, crowds left out, at the size that images are resized to.

    short_side: of the resized images, the middle one of those that training draws from. better: found by k-means; None where none misses
    fewer objects. sizes: histogram of the square root of boxes' areas, pixels. best_iou, better_iou: of each object's best
    anchor.
    """

    short_side: int
    objects: int
    configured: AnchorFit
    better: AnchorFit | None
    sizes: Histogram
    best_iou: Histogram
    better_iou: Histogram | None


def fit_anchors(config: ExperimentConfig, survey: Survey, findings: list[Finding]) -> Anchors | None:
    """Of the training split; objects that anchors miss go to `findings`. None where there is no object."""
    objects = np.flatnonzero(~survey.crowd)
    if not len(objects):
        return None
    side, anchors = training_side(config), config.model.anchors
    placed = place_objects(survey, objects, side, config.model.input)
    best = best_iou(placed, anchors)
    findings += _missed(survey, objects, placed, best)
    better = better_anchors(placed, anchors)
    better_best = best_iou(placed, better)
    configured, other = fit_of(anchors, best), fit_of(better, better_best)
    improves = other.under < configured.under
    return Anchors(
        short_side=side,
        objects=len(objects),
        configured=configured,
        better=other if improves else None,
        sizes=_size_histogram(placed.boxes),
        best_iou=histogram(best, IOU_EDGES),
        better_iou=histogram(better_best, IOU_EDGES) if improves else None,
    )


def place_objects(survey: Survey, objects: Int[np.ndarray, "n"], side: int, config: InputConfig) -> Placed:
    """Rows `objects` of a survey, images being resized to the short side `side`; one without a canvas counts as a canvas of its own."""
    sizes = resized_sizes(survey, side, config)
    canvases = np.array([_canvas(size, config) for size in sizes], np.int64).reshape(-1, 2)
    resized = np.array(sizes, np.int64).reshape(-1, 2)
    images = survey.images[objects]
    ratio = (resized / survey.source.sizes)[images]
    return Placed(survey.boxes[objects] * np.tile(ratio[:, ::-1], (1, 2)), resized[images], canvases[images])


def resized_sizes(survey: Survey, side: int, config: InputConfig) -> list[Size]:
    """The size of each image, resized to the short side `side`."""
    return [resized_size((int(height), int(width)), side, config.max_side, config.resize) for height, width in survey.source.sizes]


def _missed(survey: Survey, objects: Int[np.ndarray, "n"], placed: Placed, best: Float64[np.ndarray, "n"]) -> Iterator[Finding]:
    for row in np.flatnonzero(best < FIT):
        k = int(objects[row])
        width, height = placed.boxes[row, 2:] - placed.boxes[row, :2]
        message = f"{width:.0f} x {height:.0f} pixels (width x height) once resized, best IoU {best[row]:.2f}"
        yield Finding(kind="anchor-iou", message=message, places=(survey.place(int(survey.images[k]), survey.annotation_ids[k]),))


def _canvas(size: Size, config: InputConfig) -> Size:
    fits = config.canvas == "multiple" or any(h >= size[0] and w >= size[1] for h, w in config.canvases)
    return canvas_for(size, config) if fits else size


def _size_histogram(boxes: np.ndarray) -> Histogram:
    """Of square roots of areas, two bins an octave, an empty one at each end; what is below a pixel counts as one."""
    roots = np.maximum(np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)), 1)
    first, last = np.floor(2 * np.log2(roots.min())) - 1, np.floor(2 * np.log2(roots.max())) + 2
    return histogram(roots, tuple(float(edge) for edge in 2 ** (np.arange(first, last + 1) / 2)))
