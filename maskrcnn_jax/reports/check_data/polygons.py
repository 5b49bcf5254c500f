"""What is wrong with a polygon's shape."""

import numpy as np
from jaxtyping import Float64, Int8

_BLOCK = 2**20  # pairs of edges compared at once
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
    for first in range(0, n, max(1, _BLOCK // n)):
        rows = slice(first, first + max(1, _BLOCK // n))
        a, b = start[rows, None], end[rows, None]
        apart = _turn(b - a, start[None] - a, flat) * _turn(b - a, end[None] - a, flat) < 0
        others = end[None] - start[None]
        apart &= _turn(others, a - start[None], flat) * _turn(others, b - start[None], flat) < 0
        found = np.argwhere(apart)
        if len(found):
            return int(found[0, 0]) + first, int(found[0, 1])
    return None


def _flat(points: Points) -> float:
    """Twice the area of a triangle of these points that has none but for rounding."""
    return _ROUNDING * float(np.ptp(points, axis=0).max()) ** 2


def _turn(a: np.ndarray, b: np.ndarray, flat: float) -> Int8[np.ndarray, "*n"]:
    """Which way `b` lies from `a`, 1 or -1; 0 where twice the area between them, z of the vector product, is at most `flat`."""
    area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return (area > flat).astype(np.int8) - (area < -flat).astype(np.int8)
