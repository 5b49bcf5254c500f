"""Objects drawn on their image: masks, outlines, boxes, names and scores."""

from collections.abc import Sequence

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Category, Example, Outcomes, Result
from maskrcnn_jax.visualize.boxes import Picture, line_width, readable, rectangle
from maskrcnn_jax.visualize.colors import ASIDE, FOUND, MISSED, WRONG, Color, instance_color
from maskrcnn_jax.visualize.masks import paint_mask
from maskrcnn_jax.visualize.rendering import AnyImage, as_rgb
from maskrcnn_jax.visualize.text import Label, write_labels

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
    return _paint(image, result, {i: _named(result, i, categories) for i in kept}, _instance_colors(result), enlarge)


def draw_example(example: Example, categories: Sequence[Category]) -> Picture:
    """Ground truth on its image, as `draw` draws detections, but without scores; crowds say so."""
    names = [categories[int(label) - 1].name for label in example.labels]
    texts = {i: f"{name} (crowd)" if example.crowd[i] else name for i, name in enumerate(names)}
    truth = example_as_result(example)
    return _paint(example.image, truth, texts, _instance_colors(truth))


def draw_outcomes(example: Example, result: Result, outcomes: Outcomes, categories: Sequence[Category]) -> Picture:
    """All detections on their image, as `draw` draws them, and the objects that they miss, each in the colour of what became of it.

    Args:
      example: the image and its ground truth.
      result: detections in the pixels of the image.
      outcomes: of both.
      categories: label k is `categories[k - 1]`.

    Raises:
      ValueError: `result` is of an image of another size.
    """
    truth = example_as_result(example)
    both = Result(
        boxes=np.concatenate([result.boxes, truth.boxes]),
        scores=np.concatenate([result.scores, truth.scores]),
        labels=np.concatenate([result.labels, truth.labels]),
        masks=[*result.masks, *truth.masks],
        size=result.size,
    )
    texts = {i: _named(result, i, categories) for i in range(len(result.scores))}
    missed = {i: f"missed: {categories[int(example.labels[i]) - 1].name}" for i in np.flatnonzero(outcomes.missed).tolist()}
    colors = [FOUND if found else ASIDE if aside else WRONG for found, aside in zip(outcomes.found, outcomes.aside, strict=True)]
    return _paint(example.image, both, texts | {len(colors) + i: text for i, text in missed.items()}, colors + [MISSED] * len(truth.scores))


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


def _named(result: Result, i: int, categories: Sequence[Category]) -> str:
    return f"{categories[int(result.labels[i]) - 1].name} {result.scores[i]:.2f}"


def _instance_colors(result: Result) -> list[Color]:
    return [instance_color(int(label), i) for i, label in enumerate(result.labels)]


def _paint(image: AnyImage, result: Result, texts: dict[int, str], colors: Sequence[Color], enlarge: bool = True) -> Picture:
    """The picture of the objects that have a text, which are in the order of their right to a label; `colors` are of all."""
    height, width = image.shape[:2]
    if (height, width) != tuple(result.size):
        raise ValueError(f"the image is {(height, width)}, the objects are of one of {tuple(result.size)}; pass the image they belong to")
    picture, factor = readable(image) if enlarge else (as_rgb(image).copy(), 1)
    rectangles = {i: rectangle(result.boxes[i], factor, picture) for i in texts}
    areas = {i: int(mask_utils.area(result.masks[i])) for i in texts}
    thickness = line_width(picture)
    bold = bool(texts) and float(np.median(list(areas.values()))) ** 0.5 * factor >= _BOLD * thickness
    for i in sorted(texts, key=lambda i: -areas[i]):
        if areas[i]:
            paint_mask(picture, result.masks[i], factor, colors[i], thickness, bold)
    for i, (x0, y0, x1, y1) in rectangles.items():
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colors[i], thickness)
    return write_labels(picture, [Label(text, rectangles[i], colors[i]) for i, text in texts.items()])
