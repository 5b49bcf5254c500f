"""Boxes on an image, and what all that is drawn on one shares: how far it is enlarged, and the width of lines."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from maskrcnn_jax.visualize.colors import Color
from maskrcnn_jax.visualize.rendering import AnyImage, as_rgb
from maskrcnn_jax.visualize.text import Label, Rectangle, write_labels

Picture = UInt8[np.ndarray, "_ _ 3"]

_READABLE = 640  # images whose long side is shorter are enlarged until it is not, so that text can be read
_LARGEST_FACTOR = 8


def draw_boxes(
    image: AnyImage, boxes: Float[np.ndarray, "n 4"], colors: Sequence[Color], texts: Sequence[str] = (), *, bold: bool = False
) -> Picture:
    """Outlines of boxes on their image.

    Args:
      image: RGB, or of other channels and values, see `as_rgb`; it is not changed.
      boxes: (x0, y0, x1, y1) in the pixels of `image`, best first: the first lie on top. What reaches out of the image is cut off, and
        boxes that are not finite are left out.
      colors: one a box.
      texts: one a box, or none at all; "" is no text. Texts that would cover those of better boxes are left out.
      bold: whether lines are twice as thick, for pictures that are shown small.

    Returns:
      RGB picture, enlarged as by `readable`.
    """
    picture, factor = readable(image)
    rows = zip(texts or [""] * len(boxes), boxes, colors, strict=True)
    labels = [Label(text, rectangle(box, factor, picture), color) for text, box, color in rows if np.isfinite(box).all()]
    breadth = (line_width(picture) + 1) * (2 if bold else 1)
    for _, (x0, y0, x1, y1), color in reversed(labels):
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), color, breadth)
    return write_labels(picture, [label for label in labels if label.text])


def readable(image: AnyImage) -> tuple[Picture, int]:
    """A copy of `image` as RGB, times a whole number of at most 8 where its long side is below 640 pixels; and that number."""
    factor = min(_LARGEST_FACTOR, max(1, math.ceil(_READABLE / max(image.shape[:2]))))
    return enlarge(as_rgb(image), factor), factor


def enlarge(pixels: np.ndarray, factor: int) -> np.ndarray:
    """A copy of `pixels`, [h, w] or [h, w, c], `factor` times as large, bilinear."""
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else pixels.copy()


def line_width(picture: Picture) -> int:
    """Of thin lines in a picture, pixels."""
    return max(1, round(max(picture.shape[:2]) / 640))


def rectangle(box: Float[np.ndarray, "4"], factor: int, picture: Picture) -> Rectangle:
    """`box`, of an image enlarged by `factor`, in whole pixels of the picture, inside it and at least one pixel wide and high."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (round(float(side) * factor) for side in box)
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)
