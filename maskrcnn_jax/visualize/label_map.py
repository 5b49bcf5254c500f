"""Objects -> a picture whose pixels are labels, in the colours of their classes."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Result
from maskrcnn_jax.visualize.colors import class_color

MAX_LABEL = 255  # a palette has 256 colours, of which 0 is the background


def label_map(result: Result, *, score_threshold: float = 0.5) -> UInt8[np.ndarray, "h w"]:
    """The label of the object that each pixel of the image belongs to, 0 where there is none; where objects overlap, of the better score.

    Args:
      result: detections; one mask at a time is decoded.
      score_threshold: detections below it are left out.

    Raises:
      ValueError: a label is above 255.
    """
    if len(result.labels) and int(np.max(result.labels)) > MAX_LABEL:
        raise ValueError(f"label {np.max(result.labels)} is above {MAX_LABEL}, the last colour of a palette")
    labels = np.zeros(result.size, np.uint8)
    for i in np.argsort(result.scores, kind="stable"):
        if result.scores[i] >= score_threshold:
            labels[mask_utils.decode(result.masks[i]) == 1] = result.labels[i]
    return labels


def save_labels(path: str | Path, labels: UInt8[np.ndarray, "h w"]) -> None:
    """Write `labels` as a PNG with a palette: its values are the labels, their colours those of the classes, and 0 is black.

    Raises:
      ValueError: the extension is not .png.
      OSError: the file cannot be written.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: labels are written as .png; name the file so")
    image = Image.fromarray(labels).convert("P")
    image.putpalette([0, 0, 0, *(side for label in range(1, MAX_LABEL + 1) for side in class_color(label))])
    image.save(path, optimize=False)
