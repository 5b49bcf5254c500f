"""The stages that are maps: input, backbone, pyramid, anchors, objectness."""

import numpy as np

from maskrcnn_jax import visualize
from maskrcnn_jax.reports.inspect.section import (
    Figure,
    Level,
    Scene,
    Section,
    by_size,
    large_figure,
    levels_of,
    map_figure,
    sigmoid,
    small_figure,
)
from maskrcnn_jax.reports.inspect.walking import Walk
from maskrcnn_jax.visualize.colors import LEVELS


def map_sections(walk: Walk, scene: Scene) -> list[Section]:
    """These stages, in their order."""
    return [_input(walk), _backbone(walk), _pyramid(walk), _anchors(walk, scene), _objectness(walk, scene)]


def _input(walk: Walk) -> Section:
    values, image = np.asarray(walk.trace.features.image, np.float32), walk.example.image
    (height, width), shown = walk.canvas, walk.resized.image.shape[:2]
    rgb = values[..., ::-1] if walk.config.model.input.channel_order == "bgr" else values
    inside = values[: shown[0], : shown[1]]
    return Section(
        name="input",
        title="Input",
        words=(
            "The image is resized and put into the top left corner of a canvas, because a compiled program knows the size of what it "
            "reads. Then each channel loses its mean and is divided by its standard deviation.",
            "Mid-grey is 0: the padding to the right and below, if there is any, has it everywhere.",
        ),
        figures=(
            large_figure(visualize.readable(image)[0], "the image"),
            large_figure(visualize.readable(visualize.signed(rgb))[0], "what the network reads"),
        ),
        facts=(
            ("image", f"{by_size(image.shape)} (height x width), {image.shape[2]} channels of {image.dtype}"),
            ("resized to", by_size(shown)),
            ("canvas", f"{height} x {width}; the image is {100 * shown[0] * shown[1] / (height * width):.0f}% of it"),
            ("values", f"{inside.min():.2f} ... {inside.max():.2f}, mean {inside.mean():.2f}"),
        ),
    )


def _backbone(walk: Walk) -> Section:
    maps = walk.trace.features.backbone
    return Section(
        name="backbone",
        title="Backbone",
        words=(
            "The trunk turns the image into four maps, each of half the resolution of the one before and with more channels.",
            "Yellow cells are those whose channels are far from 0 (root mean square), violet ones near it, each map on its own scale. "
            "Early maps answer to edges and texture, late ones to things.",
        ),
        figures=tuple(_energy(level, values, walk) for level, values in zip(levels_of(maps, "C"), maps, strict=True)),
        columns=4,
    )


def _pyramid(walk: Walk) -> Section:
    maps = walk.trace.features.pyramid
    levels = list(zip(levels_of(maps), maps, strict=True))
    return Section(
        name="pyramid",
        title="Feature pyramid",
        words=(
            "Every level gets the same number of channels, and what the late maps know flows back into the fine ones. All heads read "
            "these levels.",
            "First come the levels as above, then the three directions in which a level's cells differ most as red, green and blue: cells "
            "of one colour look alike to the heads.",
        ),
        figures=(
            *(_energy(level, values, walk) for level, values in levels),
            *(
                map_figure(visualize.components(level.proper(values, walk)), f"{level.name}: principal components")
                for level, values in levels
            ),
        ),
        columns=5,
    )


def _energy(level: Level, values: np.ndarray, walk: Walk) -> Figure:
    energy = visualize.energy(level.proper(values, walk))
    top = float(energy.max(initial=0, where=np.isfinite(energy)))
    height, width, channels = values.shape
    return map_figure(visualize.heat(energy, 0.0, top), f"{level.name}: {height} x {width} cells, {channels} channels, up to {top:.3g}")


def _anchors(walk: Walk, scene: Scene) -> Section:
    config, features = walk.config.model.anchors, walk.trace.features
    figures, facts = [], []
    rows = zip(levels_of(features.pyramid), features.pyramid, features.anchors, config.sizes, LEVELS, strict=True)
    for level, values, anchors, size, color in rows:
        cells = anchors.reshape(*values.shape[:2], -1, 4)
        picture = visualize.draw_anchors(scene.dark, cells * np.float32(scene.scale), color)
        figures.append(small_figure(picture, f"{level.name}: anchors of {size:g} pixels"))
        facts.append(
            (level.name, f"{len(anchors):,} anchors: {cells.shape[2]} at each of {by_size(values.shape)} cells of {level.stride} pixels")
        )
    ratios = ", ".join(f"{ratio:g}" for ratio in config.ratios)
    return Section(
        name="anchors",
        title="Anchors",
        words=(
            "The boxes that the network starts from, whatever the image holds: one size a level, at every cell as many shapes as there are "
            f"ratios of height to width ({ratios}).",
            "Each picture shows the anchors of three cells; dots are the cells' centres where these can be told apart. An object is easy "
            "to find where some anchor has about its size and shape.",
        ),
        figures=tuple(figures),
        columns=5,
        facts=tuple(facts),
    )


def _objectness(walk: Walk, scene: Scene) -> Section:
    features, figures = walk.trace.features, []
    image, factor = visualize.readable(scene.picture)
    for level, values, logits in zip(levels_of(features.pyramid), features.pyramid, features.objectness, strict=True):
        scores = sigmoid(logits)
        of_cells = level.proper(scores.reshape(*values.shape[:2], -1).max(axis=2), walk)
        picture = visualize.over(image, visualize.heat(of_cells, 0.0, 1.0), level.stride * scene.scale * factor)
        figures.append(small_figure(picture, f"{level.name}: {int((scores > 0.5).sum()):,} of {len(logits):,} anchors above 0.5"))
    return Section(
        name="objectness",
        title="Objectness",
        words=(
            "The region proposal network tells of every anchor how sure it is that there is an object, of whatever class. A cell has the "
            "colour of its best anchor: violet is 0, green one half, yellow 1.",
            "An object should light up at the level whose anchors have its size, and the ground should stay dark.",
        ),
        figures=tuple(figures),
        columns=5,
    )
