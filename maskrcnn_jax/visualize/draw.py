"""Objects drawn on their image: masks, outlines, boxes, names and scores."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Category, Example, Result
from maskrcnn_jax.visualize.colors import Color, instance_color
from maskrcnn_jax.visualize.rendering import AnyImage, as_rgb
from maskrcnn_jax.visualize.text import Label, Rectangle, write_labels

Picture = UInt8[np.ndarray, "_ _ 3"]

_READABLE = 640  # images whose long side is shorter are enlarged until it is not, so that text can be read
_LARGEST_FACTOR = 8
_OPACITY = 0.4
_SHADE = (0, 0, 0)  # under bold outlines, so that they show on any ground
_BOLD = 60  # sides of a typical object, in line widths, from which outlines are bold


def draw(image: AnyImage, result: Result, categories: Sequence[Category], *, score_threshold: float = 0.5, enlarge: bool = True) -> Picture:
    """Detections on their image, each with the label "name score".

    Args:
      image: RGB, or of other channels and values, see `as_rgb`; it is not changed.
      result: detections in the pixels of `image`; one mask at a time is decoded.
      categories: label k is `categories[k - 1]`.
      score_threshold: detections below it are not drawn.
      enlarge: whether small images are enlarged, so that text can be read.

    Returns:
      RGB picture, `image`, or to enlarge it `image` times a whole number of at most 8, until its long side is 640 pixels. Large objects
      lie under small ones. Labels that would cover those of better detections are left out.

    Raises:
      ValueError: `result` is of an image of another size.
    """
    kept = [i for i, score in enumerate(result.scores) if score >= score_threshold]
    texts = {i: f"{categories[int(result.labels[i]) - 1].name} {result.scores[i]:.2f}" for i in kept}
    return _paint(image, result, texts, enlarge)


def draw_example(example: Example, categories: Sequence[Category]) -> Picture:
    """Ground truth on its image, as `draw` draws detections, but without scores; crowds say so."""
    names = [categories[int(label) - 1].name for label in example.labels]
    texts = {i: f"{name} (crowd)" if example.crowd[i] else name for i, name in enumerate(names)}
    return _paint(example.image, example_as_result(example), texts, enlarge=True)


def example_as_result(example: Example) -> Result:
    """Ground truth in the form of detections, every score 1; crowds are among them."""
    height, width = example.image.shape[:2]
    return Result(
        boxes=example.boxes,
        scores=np.ones(len(example.labels), np.float32),
        labels=example.labels,
        masks=[mask_utils.encode(np.asfortranarray(mask, np.uint8)) for mask in example.masks],
        size=(height, width),
    )


def _paint(image: AnyImage, result: Result, texts: dict[int, str], enlarge: bool) -> Picture:
    """The picture of the objects that have a text, which are in the order of their right to a label."""
    height, width = image.shape[:2]
    if (height, width) != tuple(result.size):
        raise ValueError(f"the image is {(height, width)}, the objects are of one of {tuple(result.size)}; pass the image they belong to")
    factor = min(_LARGEST_FACTOR, max(1, math.ceil(_READABLE / max(height, width)))) if enlarge else 1
    picture = _enlarge(as_rgb(image), factor)
    colors = {i: instance_color(int(result.labels[i]), i) for i in texts}
    rectangles = {i: _rectangle(result.boxes[i], factor, picture) for i in texts}
    areas = {i: int(mask_utils.area(result.masks[i])) for i in texts}
    thickness = max(1, round(max(picture.shape[:2]) / 640))
    bold = bool(texts) and float(np.median(list(areas.values()))) ** 0.5 * factor >= _BOLD * thickness
    for i in sorted(texts, key=lambda i: -areas[i]):
        if areas[i]:
            _paint_mask(picture, result.masks[i], factor, colors[i], thickness, bold)
    for i, (x0, y0, x1, y1) in rectangles.items():
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colors[i], thickness)
    return write_labels(picture, [Label(text, rectangles[i], colors[i]) for i, text in texts.items()])


def _enlarge(pixels: np.ndarray, factor: int) -> np.ndarray:
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else pixels.copy()


def _rectangle(box: np.ndarray, factor: int, picture: Picture) -> Rectangle:
    """The box in whole pixels of the picture, inside it and at least one pixel wide and high."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (round(float(side) * factor) for side in box)
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)


def _paint_mask(picture: Picture, rle: dict[str, Any], factor: int, color: Color, thickness: int, bold: bool) -> None:
    """Tint the mask's pixels in place and draw its outline. Only the part of the picture around the mask is touched."""
    x, y, width, height = (int(side) for side in mask_utils.toBbox(rle))
    x0, y0 = max(x - 1, 0), max(y - 1, 0)  # a ring of background, so that enlarging sees the mask's edge
    mask = mask_utils.decode(rle)[y0 : y + height + 1, x0 : x + width + 1]
    mask = _enlarge(mask * np.uint8(255), factor) >= 128
    part = picture[y0 * factor :, x0 * factor :][: mask.shape[0], : mask.shape[1]]
    part[mask] = np.round((1 - _OPACITY) * part[mask] + _OPACITY * np.array(color))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for ink, breadth in ((_SHADE, 2 * thickness + 2), (color, 2 * thickness)) if bold else ((color, thickness),):
        cv2.drawContours(picture, outlines, -1, ink, breadth, cv2.LINE_AA, offset=(x0 * factor, y0 * factor))
