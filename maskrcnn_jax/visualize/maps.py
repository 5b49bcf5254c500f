"""Grids of numbers -> pictures."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from maskrcnn_jax.visualize.boxes import Picture
from maskrcnn_jax.visualize.rendering import AnyImage, as_rgb

_SCALE = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]  # RGB of each level
_NOT_FINITE = (255, 0, 0)  # which the scale has not
_CLIPPED = 1.0  # percent of the values at either end of a component
_SHOWN = 0.6  # of a map over an image, the rest is the image in grey


def heat(values: Float[np.ndarray, "h w"], low: float, high: float) -> Picture:
    """A picture of one pixel a cell: dark violet is `low`, green the middle, yellow `high`, red what is not finite."""
    finite = np.isfinite(values)
    share = (np.where(finite, values, low) - low) / max(high - low, float(np.finfo(np.float32).tiny))
    levels = np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
    picture: np.ndarray = _SCALE[levels]
    picture[~finite] = _NOT_FINITE
    return picture


def energy(features: Float[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w"]:
    """Root mean square over the channels of a feature map."""
    return np.sqrt(np.mean(np.square(features, dtype=np.float32), axis=2))


def components(features: Float[np.ndarray, "h w c"]) -> Picture:
    """The first three principal components of a feature map's cells as red, green and blue: cells of one colour have like features.

    Each is stretched to the whole range, but for a hundredth of the cells at either end. What is not finite counts as 0.
    """
    height, width, channels = features.shape
    cells = np.nan_to_num(features.reshape(-1, channels).astype(np.float64), posinf=0, neginf=0)
    cells -= cells.mean(axis=0)
    _, directions = np.linalg.eigh(cells.T @ cells)  # ascending
    shown = cells @ directions[:, : -min(3, channels) - 1 : -1]
    shown = np.pad(shown, ((0, 0), (0, 3 - shown.shape[1])))
    low, high = np.percentile(shown, [_CLIPPED, 100 - _CLIPPED], axis=0)
    share = (shown - low) / np.where(high > low, high - low, 1)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8).reshape(height, width, 3)


def signed(values: Float[np.ndarray, "h w c"]) -> Picture:
    """The first three channels, or the only one in grey, of values about 0, such as a normalised image: mid-grey is 0."""
    shown = np.nan_to_num(values[..., [0, 1, 2] if values.shape[2] >= 3 else [0, 0, 0]].astype(np.float32))
    largest = max(float(np.abs(shown).max()), float(np.finfo(np.float32).tiny))
    return np.round(127.5 + 127.5 * shown / largest).astype(np.uint8)


def over(image: AnyImage, cells: Picture, cell: float) -> Picture:
    """A map over its image, which shows through in grey.

    Args:
      image: RGB, or of other channels and values, see `as_rgb`.
      cells: one pixel a cell of the map, whose first lies in the image's top left corner.
      cell: side of a cell, pixels of the image.
    """
    rows, columns = (
        np.minimum(((np.arange(side) + 0.5) / cell).astype(np.int64), count - 1)
        for side, count in zip(image.shape[:2], cells.shape[:2], strict=True)
    )
    grey = cv2.cvtColor(as_rgb(image), cv2.COLOR_RGB2GRAY)[..., None]
    return np.round((1 - _SHOWN) * grey + _SHOWN * cells[rows[:, None], columns]).astype(np.uint8)
