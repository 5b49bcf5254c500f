import numpy as np
import pytest

from maskrcnn_jax.reports.check_data import polygons
from maskrcnn_jax.reports.check_data.polygons import crossing, is_degenerate


def crosses(points):
    """Edge pairs that cross, in exact integers, one pair at a time: each separates the ends of the other."""

    def side(a, b, c):
        value = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        return (value > 0) - (value < 0)

    edges = [(points[k], points[(k + 1) % len(points)]) for k in range(len(points))]
    return {
        (i, j)
        for i, (a, b) in enumerate(edges)
        for j, (c, d) in enumerate(edges)
        if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
    }


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([(0, 0), (4, 4), (4, 0), (0, 4)], (0, 2)),  # a bow tie
        ([(0, 0), (4, 0), (4, 4), (0, 4)], None),
        ([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)], None),  # closed: its first point again
        ([(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)], None),  # touches itself at a corner
        ([(0, 0), (4, 0), (4, 4), (4, 0), (0, 4)], None),  # there and back along a line
        ([(0, 0), (4, 0), (4, 4)], None),
        # The fourth point is on the first edge, at 0.6 of it, which no binary number is.
        ([(406.63, 324.7), (456.33, 251.8), (434.87, 338.46), (436.45, 280.96), (414.56, 327.31)], None),
        ([(406.63, 324.7), (456.33, 251.8), (434.87, 338.46), (436.45, 280.95), (414.56, 327.31)], (0, 2)),  # 0.01 beyond it
    ],
)
def test_edges_that_cross_by_hand(points, found):
    assert crossing(np.array(points, np.float64)) == found


def test_edges_that_cross_equal_exact_pairs(rng, monkeypatch):
    monkeypatch.setattr(polygons, "_BLOCK", 40)  # several blocks a polygon
    some = none = 0
    for _ in range(200):
        points = rng.integers(0, 12, (int(rng.integers(3, 9)), 2))
        expected = crosses([tuple(map(int, point)) for point in points])
        found = crossing(points.astype(np.float64))
        assert found == (min(expected) if expected else None)
        some, none = some + bool(expected), none + (not expected)
    assert min(some, none) > 20


@pytest.mark.parametrize("crossed", [False, True])
def test_an_outline_of_many_points_is_compared_with_what_is_near(monkeypatch, crossed):
    """All pairs of the edges would be 10^8."""
    compared, turn = [0], polygons._turn

    def counting(a, b, flat):
        compared[0] += np.broadcast(a[..., 0], b[..., 0]).size
        return turn(a, b, flat)

    monkeypatch.setattr(polygons, "_turn", counting)
    angles = np.linspace(0, 2 * np.pi, 10_000, endpoint=False)
    points = 1e5 * (1 + 0.02 * np.sin(50 * angles))[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if crossed:
        points[9000:9004] = points[9000] + [(0, 0), (40, 40), (40, 0), (0, 40)]  # a bow tie
    assert crossing(points) == ((9000, 9002) if crossed else None)
    assert compared[0] < 2e7


@pytest.mark.parametrize(
    ("points", "flat"),
    [
        ([(0, 0), (4, 4), (2, 2)], True),
        ([(1, 1), (1, 1), (1, 1)], True),
        ([(0, 3), (5, 3), (9, 3), (2, 3)], True),
        ([(10.12, 12.34), (13.37, 15.11), (19.87, 20.65)], True),  # steps of (3.25, 2.77), once and twice
        ([(10.12, 12.34), (13.37, 15.11), (19.87, 20.66)], False),
        ([(0, 0), (4, 4), (2, 3)], False),
        ([(0, 0), (4, 4), (4, 0), (0, 4)], False),  # a bow tie: two areas of opposite sign
    ],
)
def test_polygons_on_a_line(points, flat):
    assert is_degenerate(np.array(points, np.float64)) == flat
