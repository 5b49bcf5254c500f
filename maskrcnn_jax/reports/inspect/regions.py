"""The stages that are boxes: proposals, RoIs and their features, masks of detections."""

from collections import Counter

import numpy as np

from maskrcnn_jax import visualize
from maskrcnn_jax.models.mask_rcnn import POOLED_LEVELS
from maskrcnn_jax.reports.inspect.section import TILES, Figure, Scene, Section, large_figure, levels_of
from maskrcnn_jax.reports.inspect.walking import BEST, Walk, over_threshold
from maskrcnn_jax.structs import Result
from maskrcnn_jax.visualize.boxes import Picture
from maskrcnn_jax.visualize.colors import LEVELS, Color, class_color


def proposal_sections(walk: Walk, scene: Scene) -> list[Section]:
    """From the RPN's outputs to what the box head reads."""
    return [_proposals(walk, scene), _rois(walk, scene)]


def mask_section(walk: Walk, *, score_threshold: float) -> Section:
    """The masks of the detections above a score."""
    result = over_threshold(walk.result, score_threshold)
    drawn = visualize.draw(walk.example.image, result, walk.categories, score_threshold=0.0)
    caption = f"all {len(result.scores)} detections with a score above {score_threshold:g}"
    return Section(
        name="masks",
        title="Masks",
        words=(
            "The mask head runs on the detections alone. Of each it gives a square grid of probabilities, for the detection's own class: "
            "violet is 0, yellow 1.",
            "The grid is stretched over the box; pixels that reach a probability of "
            f"{walk.config.model.paste.threshold:g} belong to the object.",
        ),
        figures=(large_figure(drawn, caption), *_mask_tiles(walk, result)),
    )


def _proposals(walk: Walk, scene: Scene) -> Section:
    config, proposals = walk.config.model, walk.trace.proposals
    kept = proposals.boxes[proposals.valid][:BEST]
    counts = [len(level) for level in walk.trace.features.objectness]
    entering = sum(min(config.propose.pre_nms_top_k_test, count) for count in counts)
    captions = (
        f"the {len(walk.boxes.anchors)} best anchors",
        "the same, moved and scaled by the network's deltas and clipped to the image",
        f"the {len(kept)} best proposals that NMS leaves",
    )
    return Section(
        name="proposals",
        title="Proposals",
        words=(
            "The best anchors of each level are moved and scaled by the deltas that the network gives with them. Of boxes of one level "
            f"that overlap by an IoU above {config.propose.nms_threshold:g}, only the best survives.",
            "Yellow is the best of those shown, blue the last. Good proposals sit on objects, several on each; later stages choose.",
        ),
        figures=tuple(
            large_figure(visualize.draw_boxes(scene.dark, boxes * np.float32(scene.scale), _by_rank(len(boxes))), caption)
            for boxes, caption in zip((walk.boxes.anchors, walk.boxes.moved, kept), captions, strict=True)
        ),
        columns=3,
        facts=(
            ("anchors", f"{sum(counts):,}, of which {int(walk.boxes.usable):,} may be proposed"),
            ("into NMS", f"{entering:,} at most: the best {config.propose.pre_nms_top_k_test:,} of each level"),
            ("proposals", f"{int(proposals.valid.sum()):,}; there is room for {config.propose.post_nms_top_k_test:,}"),
        ),
    )


def _by_rank(count: int) -> list[Color]:
    """Yellow for the best, blue for the last."""
    shades = visualize.heat(np.linspace(1, 0.25, count, dtype=np.float32)[None], 0.0, 1.0)[0]
    return [(int(red), int(green), int(blue)) for red, green, blue in shades]


def _rois(walk: Walk, scene: Scene) -> Section:
    proposals, config, names = walk.trace.proposals, walk.config.model.pool, [level.name for level in levels_of(range(POOLED_LEVELS))]
    boxes, features = proposals.boxes[proposals.valid], walk.trace.box_features[proposals.valid]
    levels = walk.boxes.levels[proposals.valid].tolist()
    frames, counts = boxes[:BEST] * np.float32(scene.scale), Counter(levels)
    colors, texts = [LEVELS[level] for level in levels[:BEST]], [names[level] for level in levels[:BEST]]
    drawn = visualize.draw_boxes(scene.dark, frames, colors, texts)
    return Section(
        name="rois",
        title="RoIAlign",
        words=(
            "Each proposal, now called a region of interest (RoI), is read from one level of the pyramid, a large one from a coarse level, "
            f"and becomes {config.box_size} x {config.box_size} cells whatever its size and shape. The box head sees nothing else of it.",
        ),
        figures=(
            large_figure(drawn, f"the {len(frames)} best proposals in the colour of their level"),
            *_feature_tiles(scene.picture, frames[:TILES], np.asarray(features[:TILES], np.float32)),
        ),
        facts=tuple((name, f"{counts[i]:,} RoIs") for i, name in enumerate(names)),
        legend=tuple((LEVELS[i], name) for i, name in enumerate(names)),
    )


def _feature_tiles(picture: Picture, frames: np.ndarray, features: np.ndarray) -> list[Figure]:
    if not len(frames):
        return []
    energies = [visualize.energy(roi) for roi in features]
    top = float(np.max(energies, initial=0, where=np.isfinite(energies)))
    rows = [visualize.part(picture, frame) for frame in frames], [visualize.heat(energy, 0.0, top) for energy in energies]
    caption = f"the {len(frames)} best of them: the part of the image, and how far from 0 its cells of features are"
    return [large_figure(visualize.tiles(rows), caption)]


def _mask_tiles(walk: Walk, result: Result) -> list[Figure]:
    image, factor = visualize.readable(walk.example.image)
    rows: tuple[list[Picture], list[Picture], list[Picture]] = ([], [], [])
    for i, label in enumerate(result.labels[:TILES].tolist()):
        pasted, frame = image.copy(), result.boxes[i] * np.float32(factor)
        visualize.paint_mask(pasted, result.masks[i], factor, class_color(label), 1, bold=False)
        rows[0].append(visualize.part(image, frame))
        rows[1].append(visualize.heat(walk.trace.detections.masks[i], 0.0, 1.0))
        rows[2].append(visualize.part(pasted, frame))
    if not rows[0]:
        return []
    names = [f"{walk.categories[label - 1].name} {score:.2f}" for label, score in zip(result.labels, result.scores, strict=True)][:TILES]
    cells = walk.trace.detections.masks.shape[-1]
    caption = (
        f"the best detections: the box's part of the image, the {cells} x {cells} cells of the mask, the mask pasted: {', '.join(names)}"
    )
    return [large_figure(visualize.tiles(rows), caption)]
