"""Arrays -> pictures."""

from maskrcnn_jax.visualize.draw import draw, draw_example, example_as_result
from maskrcnn_jax.visualize.grid import compare, grid
from maskrcnn_jax.visualize.label_map import MAX_LABEL, label_map, save_labels
from maskrcnn_jax.visualize.picture import save
from maskrcnn_jax.visualize.rendering import as_rgb
from maskrcnn_jax.visualize.video import VIDEO_ENDING, VideoWriter

__all__ = [
    "MAX_LABEL",
    "VIDEO_ENDING",
    "VideoWriter",
    "as_rgb",
    "compare",
    "draw",
    "draw_example",
    "example_as_result",
    "grid",
    "label_map",
    "save",
    "save_labels",
]
