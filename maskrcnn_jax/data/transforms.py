"""One example to one example: resize and flip. Masks stay full bitmaps."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.config import DataConfig, InputConfig, Resize
from maskrcnn_jax.data.canvas import Size, resize_image, resized_size
from maskrcnn_jax.data.plan import train_min_sides
from maskrcnn_jax.structs import Example


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
    """Bitmaps (0 or 1) at `size`: the image's own kernel, then a threshold at one half.

    A pixel belongs to the object where at least half of its colour came from it, so mask and image cannot drift apart: both
    have half-pixel centres. OpenCV's INTER_NEAREST has not (it takes the source pixel of the top left corner, half a source
    pixel off when shrinking by 2), and area averaging would know of pixels that the bilinear image never read.
    """
    resized = np.zeros((len(masks), *size), np.uint8)
    for target, mask in zip(resized, masks, strict=True):
        grey = cv2.resize(mask * np.uint8(255), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        cv2.threshold(grey, 127, 1, cv2.THRESH_BINARY, dst=target)
    return resized


def flip_horizontal(example: Example) -> Example:
    """Example mirrored left to right; twice is the identity."""
    x0, y0, x1, y1 = example.boxes.T
    width = np.float32(example.image.shape[1])
    masks = np.empty_like(example.masks)
    for target, mask in zip(masks, example.masks, strict=True):
        cv2.flip(mask, 1, dst=target)
    return example._replace(
        image=flip_image(example.image, 1),
        masks=masks,
        boxes=np.stack([width - x1, y0, width - x0, y1], axis=1),
    )


def flip_image(image: np.ndarray, axis: Literal[0, 1]) -> np.ndarray:
    """`image` of any number of channels mirrored top to bottom, axis 0, or left to right, 1."""
    if image.shape[2] == 3:
        return cv2.flip(image, axis)
    return np.ascontiguousarray(np.flip(image, axis))  # OpenCV drops an only channel, and has a limit


def drop_vanished(example: Example) -> Example:
    """Example without the objects whose mask has no pixel (shrunk away): there is nothing left in the image to learn them from."""
    kept = example.masks.max(axis=(1, 2), initial=0) > 0  # NumPy's `any` takes five times as long
    if kept.all():
        return example
    return example._replace(masks=example.masks[kept], boxes=example.boxes[kept], labels=example.labels[kept], crowd=example.crowd[kept])


def train_transform(example: Example, rng: np.random.Generator, input_config: InputConfig, data_config: DataConfig) -> Example:
    """Example as training sees it: a short side drawn from the configured ones, flipped with probability `data_config.flip`.

    Always draws the same number of times from `rng`. With one short side and `flip=0` it is the transform of validation losses.
    """
    min_side = int(rng.choice(train_min_sides(data_config, input_config)))
    flipped = rng.random() < data_config.flip
    size = resized_size(example.image.shape[:2], min_side, input_config.max_side, input_config.resize)
    example = drop_vanished(resize(example, size, input_config.resize))
    return flip_horizontal(example) if flipped else example
