"""Shapes of annotation tools as polygons [x, y, x, y, ...], in pixels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskrcnn_jax.data.source import DataError

FURTHEST = 0.05  # pixels between a round outline and its polygon: pycocotools draws to a fifth of a pixel
MOST_POINTS = 720  # of a round outline; reached at a radius of 5,000 pixels


def finite_numbers(values: Sequence[Any], where: str) -> list[float]:
    """The values as floats; a DataError that begins with `where` unless all are finite numbers."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 for value in values):
        raise DataError(f"{where}: {list(values)!r:.80} are not all finite numbers; correct them, or remove the shape")
    return [float(value) for value in values]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """The rectangle with two opposite corners."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0) -> list[float]:
    """The polygon within an ellipse, at most `FURTHEST` from it while the larger radius is under 5,000 pixels.

    Args:
      x: of the centre; `y` likewise.
      y: see `x`.
      radius_x: half axis along x before the turn; `radius_y` likewise. Not negative.
      radius_y: see `radius_x`.
      angle: of the turn, radians, from x to y: clockwise as seen.
    """
    largest = max(radius_x, radius_y)
    # A chord over the angle 2 a of a circle of radius r is at most r (1 - cos a) from it.
    half_step = math.acos(1 - min(FURTHEST / largest, 1)) if largest > 0 else math.pi
    count = max(16, min(MOST_POINTS, math.ceil(math.pi / half_step) if half_step else MOST_POINTS))
    steps = np.arange(count) * (2 * math.pi / count)
    along, across = radius_x * np.cos(steps), radius_y * np.sin(steps)
    points = [x + along * math.cos(angle) - across * math.sin(angle), y + along * math.sin(angle) + across * math.cos(angle)]
    return np.stack(points, axis=1).ravel().round(3).tolist()
