"""What is wrong with a polygon's shape."""

import numpy as np
from jaxtyping import Float64

_BLOCK = 2**20  # pairs of edges compared at once

Points = Float64[np.ndarray, "n 2"]


def is_degenerate(points: Points) -> bool:
    """Whether all points lie on one line: the polygon has no area."""
    away = points - points[0]
    furthest = away[np.argmax(np.abs(away).sum(axis=1))]
    return bool((_cross(away, furthest) == 0).all())


def crossing(points: Points) -> tuple[int, int] | None:
    """The first two edges that cross each other, counted from 0, edge k being from point k to the next; None where none do.

    Edges that touch, at a corner or along a line, do not cross.
    """
    n = len(points)
    start, end = points, np.roll(points, -1, axis=0)
    for first in range(0, n, max(1, _BLOCK // n)):
        rows = slice(first, first + max(1, _BLOCK // n))
        a, b = start[rows, None], end[rows, None]
        apart = _cross(b - a, start[None] - a) * _cross(b - a, end[None] - a) < 0
        others = end[None] - start[None]
        apart &= _cross(others, a - start[None]) * _cross(others, b - start[None]) < 0
        found = np.argwhere(apart)
        if len(found):
            return int(found[0, 0]) + first, int(found[0, 1])
    return None


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """z of the vector product, twice the area of a triangle with its sign."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
