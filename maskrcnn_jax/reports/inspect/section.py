"""What a stage is on the page, and what all pictures of stages share: the image they are drawn on, and their size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from maskrcnn_jax import stages, visualize
from maskrcnn_jax.reports import html
from maskrcnn_jax.reports.inspect.walking import Walk
from maskrcnn_jax.visualize.boxes import Picture
from maskrcnn_jax.visualize.colors import Color

PHOTO, LARGE, SMALL = 1600, 960, 480
"""Long sides of pictures, pixels at most. Their number being fixed, the page is bounded, however large the image."""
TILES = 8
"""RoIs shown as tiles."""
_DARK = 0.55  # of the image's brightness, where lines are drawn on it


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture, its `src`, and what it shows."""

    uri: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One stage.

    words: what it does and how to read the pictures, a paragraph each. columns: pictures in a row. facts: a table. legend: colours and
    what they mean.
    """

    name: str
    title: str
    words: tuple[str, ...]
    figures: tuple[Figure, ...]
    columns: int = 2
    facts: tuple[tuple[str, str], ...] = ()
    legend: tuple[tuple[Color, str], ...] = ()


class Scene(NamedTuple):
    """The resized image, `scale` times as large, so that its long side is at most `LARGE`; `dark`, so that lines stand out on it."""

    picture: Picture
    dark: Picture
    scale: float


def scene_of(walk: Walk) -> Scene:
    """The scene of a walk's image."""
    image = visualize.as_rgb(walk.resized.image)
    picture = visualize.shrink(image, LARGE)
    return Scene(picture, np.round(picture * _DARK).astype(np.uint8), picture.shape[1] / image.shape[1])


def photo_of(walk: Walk) -> str:
    """The resized image as the `src` of what the sliders draw on."""
    return html.picture_uri(visualize.shrink(visualize.as_rgb(walk.resized.image), PHOTO))


def large_figure(picture: Picture, caption: str) -> Figure:
    """A figure that fills half of the page or more."""
    return Figure(uri=html.picture_uri(visualize.shrink(picture, LARGE)), caption=caption)


def small_figure(picture: Picture, caption: str) -> Figure:
    """A figure that shares its row with several."""
    return Figure(uri=html.picture_uri(visualize.shrink(picture, SMALL)), caption=caption)


def map_figure(cells: Picture, caption: str) -> Figure:
    """A small figure of a map of one pixel a cell, enlarged so that cells are seen."""
    factor = max(1, SMALL // max(cells.shape[:2]))
    return small_figure(cells.repeat(factor, axis=0).repeat(factor, axis=1), caption)


class Level(NamedTuple):
    """A level of backbone or pyramid: its name, P2 or C2 and so on, and the side of its cells, canvas pixels."""

    name: str
    stride: int

    def proper(self, values: np.ndarray, walk: Walk) -> np.ndarray:
        """Of a map of this level, [h, w, ...], the cells that hold a part of the image proper, as float32."""
        rows, columns = (-(-side // self.stride) for side in walk.resized.image.shape[:2])
        return np.asarray(values[:rows, :columns], np.float32)


def levels_of(maps: Sequence[object], letter: str = "P") -> list[Level]:
    """The levels of maps, finest first."""
    return [Level(f"{letter}{stages.FINEST + i}", 2 ** (stages.FINEST + i)) for i in range(len(maps))]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64; no logit overflows."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))


def by_size(sides: Sequence[object]) -> str:
    """Height and width in words."""
    return f"{sides[0]} x {sides[1]}"
