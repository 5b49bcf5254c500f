"""Arrays -> pictures."""

from maskrcnn_jax.visualize.draw import draw, draw_example, example_as_result
from maskrcnn_jax.visualize.grid import compare, grid
from maskrcnn_jax.visualize.picture import save
from maskrcnn_jax.visualize.rendering import as_rgb

__all__ = ["as_rgb", "compare", "draw", "draw_example", "example_as_result", "grid", "save"]
