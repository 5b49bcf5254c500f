"""From an image's size to the size it is resized to, and to the canvas it is put on. Sizes are (height, width), pixels."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from maskrcnn_jax.config import AugmentConfig, InputConfig, Resize
from maskrcnn_jax.data.source import DataError

Size = tuple[int, int]
MANY_CANVASES = 8


def resized_size(size: Size, min_side: int, max_side: int, kind: Resize) -> Size:
    """Size with the short side at `min_side`, or the long one at `max_side` where it would exceed it; sides are at least 1.

    One scale for both sides. `uint8` rounds each to the nearest integer, half to even; `pillow` does it in the steps of
    Detectron2, half up; `float` rounds down (torchvision).
    """
    scale = min(min_side / min(size), max_side / max(size))
    if kind == "float":
        height, width = int(size[0] * scale), int(size[1] * scale)
    elif kind == "pillow":
        short, long = float(min_side), max(size) * (min_side / min(size))
        if long > max_side:
            short, long = short * (max_side / long), long * (max_side / long)
        height, width = (int(side + 0.5) for side in ((short, long) if size[0] < size[1] else (long, short)))
    else:
        height, width = round(size[0] * scale), round(size[1] * scale)
    return max(1, height), max(1, width)


def train_min_sides(augment: AugmentConfig, config: InputConfig) -> tuple[int, ...]:
    """Short sides that training draws from: `augment.min_sides`, or the one of inference where it is empty."""
    return augment.min_sides or (config.min_side,)


def shrink_to_fit(size: Size, room: Size) -> Size:
    """`size` where it fits in `room`, otherwise the largest one of its shape that does, rounded down; sides are at least 1."""
    scale = min(1.0, room[0] / size[0], room[1] / size[1])
    return size if scale == 1 else (max(1, math.floor(size[0] * scale)), max(1, math.floor(size[1] * scale)))


def canvas_for(size: Size, config: InputConfig, name: str = "an image") -> Size:
    """The canvas that holds an image already resized to `size`.

    `fixed`: the one of `config.canvases` with the smallest area (the first of equals). `multiple`: each side rounded up to a
    multiple of `config.multiple`; for a batch, `size` is the element-wise maximum of its sizes.

    Raises:
      DataError: none of `config.canvases` holds the image, which the message calls `name`.
    """
    if config.canvas == "multiple":
        return _round_up(size[0], config.multiple), _round_up(size[1], config.multiple)
    fitting = [(h, w) for h, w in config.canvases if h >= size[0] and w >= size[1]]
    if not fitting:
        raise DataError(
            f"{name}: resized to {size[0]} x {size[1]} (height x width) it fits none of model.input.canvases {config.canvases}; "
            "add a canvas that holds it, or lower model.input.min_side or max_side (in training data.augment.min_sides)"
        )
    return min(fitting, key=lambda canvas: canvas[0] * canvas[1])


def expected_canvases(config: InputConfig) -> int:
    """How many canvases a program is compiled for without a warning: the config's, or of canvas `multiple`, which nothing bounds, a few."""
    return len(config.canvases) if config.canvas == "fixed" else MANY_CANVASES


def resize_image(
    image: UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"], size: Size, kind: Resize
) -> UInt8[np.ndarray, "h2 w2 c"] | UInt16[np.ndarray, "h2 w2 c"] | Float32[np.ndarray, "h2 w2 c"]:
    """`image` at `size`, bilinear with half-pixel centres as `InputConfig.resize` says; float32, in the same units, for `float`.

    The same array where the size is equal, but for `float`.
    """
    if kind == "float":
        resized = image.astype(np.float32)
        for axis in (1, 0):
            resized = _resize_axis(resized, axis, size[axis])
        return resized
    if image.shape[:2] == tuple(size):
        return image
    if kind == "pillow":
        return in_groups(lambda part, _: _by_pillow(part, size), image, 3 if image.shape[2] == 3 else 1)
    return in_groups(lambda part, _: cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), image, 4)


def _by_pillow(image: np.ndarray, size: Size) -> np.ndarray:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def in_groups(change: Callable[[np.ndarray, slice], np.ndarray], image: np.ndarray, most: int) -> np.ndarray:
    """`change` applied to at most so many channels at once: Pillow takes the fourth for opacity, OpenCV has limits.

    Args:
      change: gets the channels, [h, w, most or fewer], and which of the image's they are; may drop the axis of an only one.
      image: of any number of channels.
      most: channels at once.
    """
    groups = [slice(i, i + most) for i in range(0, image.shape[2], most)]
    parts = [change(np.ascontiguousarray(image[..., group]), group) for group in groups]
    parts = [part.reshape(*part.shape[:2], -1) for part in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _resize_axis(values: Float32[np.ndarray, "..."], axis: int, side: int) -> Float32[np.ndarray, "..."]:
    """`values` with so many cells along an axis.

    Positions are rounded to float32 once, as in PyTorch's fused product and sum. OpenCV's are better ones, which puts its
    pixels up to 1e-2 grey levels away from what torchvision's networks see.
    """
    before = values.shape[axis]
    scale = np.float64(np.float32(before) / np.float32(side))
    position = np.maximum((scale * (np.arange(side) + 0.5) - 0.5).astype(np.float32), 0)
    low = np.minimum(position.astype(np.int64), before - 1)
    share = (position - low.astype(np.float32)).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    lower, step = np.take(values, low, axis), np.take(values, np.minimum(low + 1, before - 1), axis)
    step -= lower
    step *= share
    return np.add(lower, step, out=lower)


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
