"""What is wrong with a polygon's shape."""

import numpy as np
from jaxtyping import Float64, Int8

_BLOCK = 2**20  # pairs of edges compared at once
_TOGETHER = 64  # edges of an outline that lie near each other, so that few others reach the rectangle around them
_ROUNDING = 1e-9  # of an area that is 0 but for rounding, as share of the square around the polygon: far above float64's

Points = Float64[np.ndarray, "n 2"]


def is_degenerate(points: Points) -> bool:
    """Whether all points lie on one line: the polygon has no area."""
    away = points - points[0]
    furthest = away[np.argmax(np.abs(away).sum(axis=1))]
    return not _turn(away, furthest, _flat(points)).any()


def crossing(points: Points) -> tuple[int, int] | None:
    """The first two edges that cross each other, counted from 0, edge k being from point k to the next; None where none do.

    Edges that touch, at a corner or along a line, do not cross.
    """
    n, flat = len(points), _flat(points)
    start, end = points, np.roll(points, -1, axis=0)
    low, high = np.minimum(start, end), np.maximum(start, end)
    together = max(1, min(_TOGETHER, _BLOCK // n))
    for first in range(0, n, together):
        rows = slice(first, first + together)
        near = np.flatnonzero(((low <= high[rows].max(axis=0)) & (high >= low[rows].min(axis=0))).all(axis=1))
        a, b, c, d = start[rows, None], end[rows, None], start[None, near], end[None, near]
        apart = _turn(b - a, c - a, flat) * _turn(b - a, d - a, flat) < 0
        apart &= _turn(d - c, a - c, flat) * _turn(d - c, b - c, flat) < 0
        found = np.argwhere(apart)
        if len(found):
            return int(found[0, 0]) + first, int(near[found[0, 1]])
    return None


def _flat(points: Points) -> float:
    """Twice the area of a triangle of these points that has none but for rounding."""
    return _ROUNDING * float(np.ptp(points, axis=0).max()) ** 2


def _turn(a: np.ndarray, b: np.ndarray, flat: float) -> Int8[np.ndarray, "*n"]:
    """Which way `b` lies from `a`, 1 or -1; 0 where twice the area between them, z of the vector product, is at most `flat`."""
    area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return (area > flat).astype(np.int8) - (area < -flat).astype(np.int8)
