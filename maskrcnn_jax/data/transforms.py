"""One example to one example, by given numbers: resize, flip, crop, rotate, pad. Masks stay full bitmaps.

A mask is moved bilinearly and cut at one half. So is the image moved: a pixel belongs to the object where at least half of its colour
came from it, and mask and image cannot drift apart. Images alone are resized by Pillow where `InputConfig.resize` says so, which
averages over more pixels where it shrinks; centres are the same.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.config import Resize
from maskrcnn_jax.data.batching import Box, tight_box
from maskrcnn_jax.data.canvas import Size, in_groups, resize_image
from maskrcnn_jax.structs import Example

Fill = tuple[int, ...]
"""Colour of pixels that no pixel of the image comes to, a value a channel."""

_MOST_CHANNELS = 4  # that OpenCV can fill borders of


def resize(example: Example, size: Size, kind: Resize) -> Example:
    """Example with its image at `size` (height, width); boxes are scaled by the ratio of the integer sizes, each axis its own.

    Objects may end up without a pixel; see `drop_vanished`.
    """
    height, width = example.image.shape[:2]
    image = resize_image(example.image, size, kind)
    if image is example.image:
        return example
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    return example._replace(image=image, masks=resize_masks(example.masks, size), boxes=(example.boxes * scale).astype(np.float32))


def resize_masks(masks: UInt8[np.ndarray, "n h w"], size: Size) -> UInt8[np.ndarray, "n h2 w2"]:
    """Bitmaps (0 or 1) at `size`: bilinear, as the image is unless Pillow shrinks it, then a threshold at one half.

    Both have half-pixel centres. OpenCV's INTER_NEAREST has not (it takes the source pixel of the top left corner, half a source
    pixel off when shrinking by 2), and area averaging would know of pixels that a bilinear image never read.
    """
    return _moved(masks, size, lambda grey: cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def flip_horizontal(example: Example) -> Example:
    """Example mirrored left to right; twice is the identity."""
    x0, y0, x1, y1 = example.boxes.T
    width = np.float32(example.image.shape[1])
    return _flipped(example, 1)._replace(boxes=np.stack([width - x1, y0, width - x0, y1], axis=1))


def flip_vertical(example: Example) -> Example:
    """Example mirrored top to bottom; twice is the identity."""
    x0, y0, x1, y1 = example.boxes.T
    height = np.float32(example.image.shape[0])
    return _flipped(example, 0)._replace(boxes=np.stack([x0, height - y1, x1, height - y0], axis=1))


def crop(example: Example, window: Box) -> Example:
    """What lies in `window` (x0, y0, x1, y1), integer pixels inside the image; objects outside are left out, boxes are tight."""
    x0, y0, x1, y1 = window
    return fit_boxes(example._replace(image=example.image[y0:y1, x0:x1], masks=example.masks[:, y0:y1, x0:x1]))


def rotate(example: Example, degrees: float, fill: Fill) -> Example:
    """Example turned counter-clockwise around the image's centre, in an image of the same size; its corners are cut, and others open.

    Bilinear, up to OpenCV's positions in 32nds of a pixel. Objects that leave the image are left out, boxes are tight. By 0 degrees
    the same example.

    Args:
      example: its image may have any number of channels, and values of 8 or 16 bits or float32.
      degrees: of the turn.
      fill: colour of the corners that open.
    """
    if degrees == 0:
        return example
    height, width = example.image.shape[:2]
    # Pixel centres are at whole numbers in OpenCV.
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    masks = _moved(example.masks, (height, width), lambda grey: cv2.warpAffine(grey, turn, (width, height), flags=cv2.INTER_LINEAR))
    return fit_boxes(example._replace(image=_turned(example.image, turn, fill), masks=masks))


def pad(example: Example, size: Size, fill: Fill) -> Example:
    """Example in the top left corner of an image of `size` (height, width), which is at least as large, and `fill` elsewhere."""
    height, width = example.image.shape[:2]
    image = np.empty((*size, example.image.shape[2]), example.image.dtype)
    image[:] = fill
    image[:height, :width] = example.image
    masks = np.zeros((len(example.masks), *size), np.uint8)
    masks[:, :height, :width] = example.masks
    return example._replace(image=image, masks=masks)


def drop_vanished(example: Example) -> Example:
    """Example without the objects whose mask has no pixel (shrunk away): there is nothing left in the image to learn them from."""
    kept = example.masks.max(axis=(1, 2), initial=0) > 0  # NumPy's `any` takes five times as long
    if kept.all():
        return example
    return example._replace(masks=example.masks[kept], boxes=example.boxes[kept], labels=example.labels[kept], crowd=example.crowd[kept])


def fit_boxes(example: Example) -> Example:
    """Example without the objects whose mask has no pixel, and with the tight boxes of the others' masks."""
    left = drop_vanished(example)
    return left._replace(boxes=np.array([tight_box(mask) for mask in left.masks], np.float32).reshape(-1, 4))


def flip_image(image: np.ndarray, axis: Literal[0, 1]) -> np.ndarray:
    """`image` of any number of channels mirrored top to bottom, axis 0, or left to right, 1."""
    if image.shape[2] == 3:
        return cv2.flip(image, axis)
    return np.ascontiguousarray(np.flip(image, axis))  # OpenCV drops an only channel, and has a limit


def _flipped(example: Example, axis: Literal[0, 1]) -> Example:
    """Image and masks mirrored along `axis`."""
    masks = np.empty_like(example.masks)
    for target, mask in zip(masks, example.masks, strict=True):
        cv2.flip(mask, axis, dst=target)
    return example._replace(image=flip_image(example.image, axis), masks=masks)


def _moved(masks: UInt8[np.ndarray, "n h w"], size: Size, move: Callable[[np.ndarray], np.ndarray]) -> UInt8[np.ndarray, "n h2 w2"]:
    """Bitmaps (0 or 1) at `size`, each moved in 0 and 255 by `move`, which is bilinear, and cut at one half."""
    moved = np.zeros((len(masks), *size), np.uint8)
    for target, mask in zip(moved, masks, strict=True):
        cv2.threshold(move(mask * np.uint8(255)), 127, 1, cv2.THRESH_BINARY, dst=target)
    return moved


def _turned(image: np.ndarray, turn: np.ndarray, fill: Fill) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return in_groups(
        lambda part, group: cv2.warpAffine(part, turn, size, flags=cv2.INTER_LINEAR, borderValue=fill[group]), image, _MOST_CHANNELS
    )
