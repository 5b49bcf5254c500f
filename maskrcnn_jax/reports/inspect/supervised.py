"""What ground truth adds: detections beside it, and what a step of training would make of the image."""

from collections import Counter

import numpy as np

from maskrcnn_jax import evaluation, visualize
from maskrcnn_jax.reports.inspect.section import TILES, Figure, Scene, Section, large_figure, sigmoid
from maskrcnn_jax.reports.inspect.walking import Training, Walk, over_threshold
from maskrcnn_jax.visualize.colors import ASIDE, FOUND, MISSED, WRONG, instance_color


def comparison_section(walk: Walk, *, score_threshold: float, iou: float) -> Section:
    """Ground truth beside the detections above a score; what became of both at an IoU of their boxes."""
    result = over_threshold(walk.result, score_threshold)
    found = evaluation.outcomes(result, walk.example, iou=iou)
    drawn = visualize.draw_outcomes(walk.example, result, found, walk.categories)
    right, aside, missed = (int(flags.sum()) for flags in found)
    return Section(
        name="comparison",
        title="Ground truth beside prediction",
        words=(
            f"A detection is right if its box overlaps an object of its class by an IoU of at least {iou:g}; of several the best has it, "
            "and the others are false positives. An object that no detection has is missed.",
        ),
        figures=(
            large_figure(visualize.draw_example(walk.example, walk.categories), "ground truth"),
            large_figure(drawn, f"all {len(result.scores)} detections with a score above {score_threshold:g}"),
        ),
        facts=(
            ("objects", f"{int((~walk.example.crowd).sum()):,}"),
            ("true positives", f"{right:,}"),
            ("false positives", f"{len(result.scores) - right - aside:,}"),
            ("missed", f"{missed:,}"),
            ("crowds", f"{int(walk.example.crowd.sum()):,}, with {aside:,} detections that do not count"),
        ),
        legend=((FOUND, "true positive"), (WRONG, "false positive"), (MISSED, "missed"), (ASIDE, "in a crowd")),
    )


def training_sections(walk: Walk, training: Training, scene: Scene) -> list[Section]:
    """Which anchors and RoIs a step of training would learn from, the targets, and the losses."""
    return [_matches(walk, training, scene), _targets(walk, training, scene)]


def _matches(walk: Walk, training: Training, scene: Scene) -> Section:
    config = walk.config.model.assign
    least = ", or be one of the object's best" if config.rpn_low_quality else ""
    joined = " The objects' own boxes are among them." if config.append_ground_truth else ""
    return Section(
        name="matches",
        title="Training: what is learned from",
        words=(
            "To be a positive example for the region proposal network, an anchor must overlap an object by an IoU of "
            f"{config.rpn_foreground_iou:g}{least}; below {config.rpn_background_iou:g} it is background. The heads learn from proposals "
            f"in the same way: from {config.roi_foreground_iou:g} on they take the class of the object, and the mask head learns from "
            f"them too; below {config.roi_background_iou:g} they are background.{joined} Of all these a sample is drawn.",
            "Objects are bold, and what stands for them has their colour; background is grey. An object without a thin box of its colour "
            "teaches nothing here.",
        ),
        figures=(_sampled_anchors(walk, training, scene), _sampled_rois(walk, training, scene)),
    )


def _sampled_anchors(walk: Walk, training: Training, scene: Scene) -> Figure:
    samples = training.anchor_samples
    boxes = np.concatenate(walk.trace.features.anchors)[samples.indices[samples.valid]]
    owners = np.where(samples.positive[samples.valid], _rows_of(samples.gt_boxes[samples.valid], walk.resized.boxes), -1)
    return _matched(walk, scene, boxes, owners, "anchors")


def _sampled_rois(walk: Walk, training: Training, scene: Scene) -> Figure:
    samples = training.roi_samples
    owners = np.where(samples.labels > 0, samples.gt_indices, -1)[samples.valid]
    return _matched(walk, scene, samples.boxes[samples.valid], owners, "RoIs")


def _matched(walk: Walk, scene: Scene, boxes: np.ndarray, owners: np.ndarray, what: str) -> Figure:
    scale, truth = np.float32(scene.scale), walk.resized
    objects = np.flatnonzero(~truth.crowd)  # which come first
    colors = [instance_color(int(truth.labels[i]), int(i)) for i in objects]
    picture = visualize.draw_matches(scene.dark, boxes * scale, owners, truth.boxes[objects] * scale, colors)
    return large_figure(picture, f"{int((owners >= 0).sum())} positive {what} and {int((owners < 0).sum())} of the background")


def _targets(walk: Walk, training: Training, scene: Scene) -> Section:
    rois = training.roi_samples
    positive = np.flatnonzero((rois.valid & (rois.labels > 0))[: len(training.mask_targets)])
    chosen = _of_each_object(positive, rois.gt_indices[positive])[:TILES]
    figures = []
    if len(chosen):
        rows = (
            [visualize.part(scene.picture, rois.boxes[i] * np.float32(scene.scale)) for i in chosen],
            [visualize.heat(training.mask_targets[i], 0.0, 1.0) for i in chosen],
            [visualize.heat(mask, 0.0, 1.0) for mask in sigmoid(training.mask_logits[chosen])],
        )
        names = ", ".join(walk.categories[int(rois.labels[i]) - 1].name for i in chosen)
        caption = f"positive RoIs: the part of the image, the target, what the mask head says now: {names}"
        figures.append(large_figure(visualize.tiles(rows), caption))
    return Section(
        name="targets",
        title="Training: mask targets and losses",
        words=(
            "The target of a RoI is the part of its object's mask that lies in it, on the mask head's grid. The losses are those of a step "
            "of training on this image alone, without augmentation; training lowers their sum.",
        ),
        figures=tuple(figures),
        columns=1,
        facts=tuple((f"loss {name}", f"{value:.4f}") for name, value in training.losses.items()),
    )


def _of_each_object(rows: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The rows in another order: first one of each owner, then a second one of each."""
    seen: Counter[int] = Counter()
    turns = []
    for owner in owners.tolist():
        turns.append(seen[owner])
        seen[owner] += 1
    return rows[np.argsort(turns, kind="stable")]


def _rows_of(boxes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The row of the table that each box is; of equal rows the first."""
    return np.abs(boxes[:, None] - table[None]).sum(axis=2).argmin(axis=1) if len(table) else np.full(len(boxes), -1)
