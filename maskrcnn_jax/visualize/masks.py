"""Masks as they are drawn: tinted pixels, and outlines as points."""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from pycocotools import mask as mask_utils

from maskrcnn_jax.visualize.boxes import Picture, enlarge
from maskrcnn_jax.visualize.colors import Color

_OPACITY = 0.4
_SHADE = (0, 0, 0)  # under bold outlines, so that they show on any ground
_SMOOTH = 0.75  # pixels that an outline may be off where that saves points


def paint_mask(picture: Picture, rle: dict[str, Any], factor: int, color: Color, thickness: int, bold: bool) -> None:
    """Tint the mask's pixels in place and draw its outline. Only the part of the picture around the mask is touched.

    Args:
      picture: an image enlarged by `factor`.
      rle: COCO run lengths of a mask of the image.
      factor: see `readable`.
      color: of tint and outline.
      thickness: of the outline, pixels of the picture.
      bold: whether the outline is twice as thick, and shaded.
    """
    mask, (x, y) = _enlarged(rle, factor)
    part = picture[y:, x:][: mask.shape[0], : mask.shape[1]]
    part[mask] = np.round((1 - _OPACITY) * part[mask] + _OPACITY * np.array(color))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for ink, breadth in ((_SHADE, 2 * thickness + 2), (color, 2 * thickness)) if bold else ((color, thickness),):
        cv2.drawContours(picture, outlines, -1, ink, breadth, cv2.LINE_AA, offset=(x, y))


def outlines(rle: dict[str, Any], factor: int) -> list[Float32[np.ndarray, "_ 2"]]:
    """Closed outlines, holes among them, of a mask: points (x, y) in its pixels, up to three quarters of a pixel off once enlarged.

    Args:
      rle: COCO run lengths; a mask without a pixel has no outline.
      factor: how far the image is enlarged where they are drawn, see `readable`.
    """
    mask, corner = _enlarged(rle, factor)
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    smooth = (cv2.approxPolyDP(points, _SMOOTH, True).reshape(-1, 2) for points in found)
    return [((points + corner + 0.5) / factor).astype(np.float32) for points in smooth]


def _enlarged(rle: dict[str, Any], factor: int) -> tuple[Bool[np.ndarray, "h w"], tuple[int, int]]:
    """The part of the enlarged mask that holds its pixels, and the corner (x, y) of that part, enlarged pixels."""
    x, y, width, height = (int(side) for side in mask_utils.toBbox(rle))
    x0, y0 = max(x - 1, 0), max(y - 1, 0)  # a ring of background, so that enlarging sees the mask's edge
    mask = mask_utils.decode(rle)[y0 : y + height + 1, x0 : x + width + 1]
    return enlarge(mask * np.uint8(255), factor) >= 128, (x0 * factor, y0 * factor)
