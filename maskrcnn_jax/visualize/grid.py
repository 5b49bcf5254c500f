"""Pictures side by side."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.visualize.text import heading

Picture = UInt8[np.ndarray, "_ _ 3"]

_PAPER = 255
_GAP = 8  # pixels between pictures and around them


def grid(pictures: Sequence[Picture], columns: int) -> Picture:
    """`pictures` in rows of `columns` on white, each centred in a cell as large as the largest picture.

    Args:
      pictures: RGB, of any sizes, left to right and top to bottom.
      columns: cells a row.

    Raises:
      ValueError: there is no picture, or no column.
    """
    if not pictures or columns < 1:
        raise ValueError(f"{len(pictures)} pictures in {columns} columns make no grid; give at least one of each")
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    page = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        y = _GAP + (i // columns) * (height + _GAP) + (height - picture.shape[0]) // 2
        x = _GAP + (i % columns) * (width + _GAP) + (width - picture.shape[1]) // 2
        page[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return page


def compare(ground_truth: Picture, prediction: Picture) -> Picture:
    """Two pictures side by side under the headings "ground truth" and "prediction"."""
    return grid([_titled("ground truth", ground_truth), _titled("prediction", prediction)], 2)


def _titled(title: str, picture: Picture) -> Picture:
    return np.vstack([heading(title, *picture.shape[:2]), picture])
