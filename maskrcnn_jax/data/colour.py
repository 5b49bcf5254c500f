"""One example to one example, by given numbers: colours and sharpness. Boxes and masks stay as they are."""

import cv2
import numpy as np
from jaxtyping import Float32

from maskrcnn_jax.structs import Example

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # grey of RGB, ITU-R BT.601


def jitter_colour(example: Example, *, brightness: float, contrast: float, saturation: float, hue: float) -> Example:
    """Example with other colours; the factors 1, 1, 1 and the turn 0 change nothing.

    In this order, each clipped to 0 ... 255; bytes are rounded once, at the end.

    Args:
      example: its image is bytes, or float32 0-255.
      brightness: factor of the colours.
      contrast: factor of their distance from the image's mean grey.
      saturation: factor of their distance from the pixel's own grey.
      hue: turn, in shares of the colour circle.
    """
    image = example.image.astype(np.float32)
    if brightness != 1:
        image = np.clip(image * np.float32(brightness), 0, 255)
    if contrast != 1:
        image = _away(image, np.float32((image @ _LUMA).mean()), contrast)
    if saturation != 1:
        image = _away(image, (image @ _LUMA)[..., None], saturation)
    if hue != 0:
        image = _turned(image, hue)
    return example._replace(image=_like(image, example.image))


def blur(example: Example, sigma: float) -> Example:
    """Example with a Gaussian blur of `sigma` pixels, mirrored at the image's edges; 0 changes nothing."""
    return example._replace(image=cv2.GaussianBlur(example.image, (0, 0), sigma)) if sigma > 0 else example


def _away(image: Float32[np.ndarray, "h w 3"], grey: np.ndarray | np.float32, factor: float) -> Float32[np.ndarray, "h w 3"]:
    return np.clip(grey + np.float32(factor) * (image - grey), 0, 255)


def _turned(image: Float32[np.ndarray, "h w 3"], turn: float) -> Float32[np.ndarray, "h w 3"]:
    hsv = cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)


def _like(image: Float32[np.ndarray, "h w 3"], original: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8) if original.dtype == np.uint8 else np.clip(image, 0, 255)
