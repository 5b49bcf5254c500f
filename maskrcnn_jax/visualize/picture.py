"""A picture -> a file."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8


def save(path: str | Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write `picture`, RGB, as PNG or JPEG, by the name's extension.

    Raises:
      ValueError: the extension is neither .png nor .jpg nor .jpeg.
      OSError: the file cannot be written.
    """
    if Path(path).suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise ValueError(f"{path}: pictures are written as .png, .jpg or .jpeg; name the file so")
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: the picture could not be written; check that its folder exists, may be written to and has space")
