"""Images of any channels and values -> pictures that a screen can show."""

import numpy as np
from jaxtyping import UInt8, UInt16

AnyImage = UInt8[np.ndarray, "_ _ _"] | UInt16[np.ndarray, "_ _ _"]

_CLIPPED = 0.1  # percent of a channel's values at either end: hot pixels and dead ones leave the rest its contrast


def as_rgb(image: AnyImage) -> UInt8[np.ndarray, "_ _ 3"]:
    """`image` as RGB bytes: its first three channels, or grey of the first where there are fewer.

    Bytes stay as they are (RGB is the same array). Of 16-bit values each channel is stretched to the whole range, from its 0.1 to
    its 99.9 percentile, for microscopes and depth cameras use a small part of theirs.
    """
    shown = image if image.shape[2] == 3 else image[..., [0, 1, 2] if image.shape[2] > 3 else [0, 0, 0]]
    return shown if shown.dtype == np.uint8 else _stretched(shown)


def _stretched(image: UInt16[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    low, high = np.percentile(image, [_CLIPPED, 100 - _CLIPPED], axis=(0, 1))
    share = (image - low) / np.maximum(high - low, 1)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
