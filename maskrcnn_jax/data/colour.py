"""One example to one example, by given numbers: colours and sharpness. Boxes and masks stay as they are."""

import cv2
import numpy as np
from jaxtyping import Float32

from maskrcnn_jax.data.canvas import in_groups
from maskrcnn_jax.structs import Example

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # grey of RGB, ITU-R BT.601


def jitter_colour(example: Example, *, brightness: float, contrast: float, saturation: float, hue: float, white: float = 255.0) -> Example:
    """Example with other colours; the factors 1, 1, 1 and the turn 0 change nothing.

    In this order, each clipped to 0 ... `white`; whole numbers are rounded once, at the end.

    Args:
      example: its image is whole numbers, or float32, of any number of channels where saturation and hue are left alone.
      brightness: factor of the colours.
      contrast: factor of their distance from the image's mean grey.
      saturation: factor of their distance from the pixel's own grey.
      hue: turn, in shares of the colour circle.
      white: the largest value that there is.

    Raises:
      ValueError: another saturation or hue of an image that is not RGB.
    """
    image = example.image.astype(np.float32) / np.float32(white)
    if image.shape[2] != 3 and (saturation, hue) != (1, 0):
        raise ValueError(f"saturation and hue are of RGB; the image has {image.shape[2]} channels")
    if brightness != 1:
        image = np.clip(image * np.float32(brightness), 0, 1)
    if contrast != 1:
        image = _away(image, np.float32(_grey(image).mean()), contrast)
    if saturation != 1:
        image = _away(image, _grey(image), saturation)
    if hue != 0:
        image = _turned(image, hue)
    image = image * np.float32(white)
    return example._replace(image=np.rint(image).astype(example.image.dtype) if example.image.dtype != np.float32 else image)


def blur(example: Example, sigma: float) -> Example:
    """Example with a Gaussian blur of `sigma` pixels, mirrored at the image's edges; 0 changes nothing."""
    if sigma == 0:
        return example
    return example._replace(image=in_groups(lambda part, _: cv2.GaussianBlur(part, (0, 0), sigma), example.image, 4))


def _grey(image: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w 1"]:
    return (image @ _LUMA)[..., None] if image.shape[2] == 3 else image.mean(axis=2, keepdims=True)


def _away(image: Float32[np.ndarray, "h w c"], grey: np.ndarray | np.float32, factor: float) -> Float32[np.ndarray, "h w c"]:
    return np.clip(grey + np.float32(factor) * (image - grey), 0, 1)


def _turned(image: Float32[np.ndarray, "h w 3"], turn: float) -> Float32[np.ndarray, "h w 3"]:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)
