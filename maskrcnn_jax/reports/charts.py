"""What an SVG is drawn from, in its own units; templates/charts.html draws it."""

from collections.abc import Iterable
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 150
"""Of the area of bars and lines."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar from the ground up; `text` is what it stands for."""

    x: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line; `points` is what SVG's polyline takes, `kind` a class of the style sheet, `name` what the page's script finds it by."""

    points: str
    kind: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars, an outline of other bars over them, lines, labels below, and lines across, these at an x each.

    legend: what bars and outline are, or the lines, by class of the style sheet. top: what the full height stands for.
    """

    title: str
    axis: str
    ticks: tuple[tuple[float, str], ...]
    top: int
    bars: tuple[Bar, ...] = ()
    outline: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def polyline(points: Iterable[tuple[float, float]], height: int) -> str:
    """Points of 0 ... 1, y upwards, as SVG's polyline takes them; those that are not numbers are left out."""
    return " ".join(f"{WIDTH * x:.1f},{height * (1 - y):.1f}" for x, y in points if y == y)
