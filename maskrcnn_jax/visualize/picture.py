"""A picture -> a smaller one, or a file."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8


def shrink(picture: UInt8[np.ndarray, "_ _ 3"], side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """`picture`, made smaller by area where its long side exceeds `side` pixels."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def save(path: str | Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write `picture`, RGB, as PNG or JPEG, by the name's extension.

    Raises:
      ValueError: the extension is neither .png nor .jpg nor .jpeg, or the format does not hold so long a side.
      OSError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {".png", ".jpg", ".jpeg"}:
        raise ValueError(f"{path}: pictures are written as .png, .jpg or .jpeg; name the file so")
    encoded, content = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"{path}: no {suffix} holds {picture.shape[0]} x {picture.shape[1]} pixels (height x width); shrink the picture")
    Path(path).write_bytes(content.tobytes())  # not OpenCV, which dies of a name that is no text and does not say why it cannot write
