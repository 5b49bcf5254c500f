"""Arrays -> pictures."""

from maskrcnn_jax.visualize import colors
from maskrcnn_jax.visualize.boxes import draw_boxes, readable
from maskrcnn_jax.visualize.draw import draw, draw_example, draw_outcomes, example_as_result
from maskrcnn_jax.visualize.grid import compare, grid
from maskrcnn_jax.visualize.label_map import MAX_LABEL, label_map, save_labels
from maskrcnn_jax.visualize.maps import components, energy, heat, over, signed
from maskrcnn_jax.visualize.masks import outlines, paint_mask
from maskrcnn_jax.visualize.picture import save, shrink
from maskrcnn_jax.visualize.rendering import as_rgb
from maskrcnn_jax.visualize.stages import draw_anchors, draw_matches, part, tiles
from maskrcnn_jax.visualize.video import MAX_RATE, VIDEO_ENDING, VideoWriter

__all__ = [
    "MAX_LABEL",
    "MAX_RATE",
    "VIDEO_ENDING",
    "VideoWriter",
    "as_rgb",
    "colors",
    "compare",
    "components",
    "draw",
    "draw_anchors",
    "draw_boxes",
    "draw_example",
    "draw_matches",
    "draw_outcomes",
    "energy",
    "example_as_result",
    "grid",
    "heat",
    "label_map",
    "outlines",
    "over",
    "paint_mask",
    "part",
    "readable",
    "save",
    "save_labels",
    "shrink",
    "signed",
    "tiles",
]
