"""The pixels of a mask near its outline (Cheng et al. 2021, Boundary IoU)."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_utils

BOUNDARY_SHARE = 0.02
"""Width of a boundary as a share of the image's diagonal: that of the paper for instance masks."""


def boundary_of(rle: dict[str, Any], *, share: float = BOUNDARY_SHARE) -> dict[str, Any]:
    """The pixels of a mask that lie within `share` of the image's diagonal, at least one pixel, of a pixel outside the mask.

    What lies beyond the image counts as outside, so that a mask cut by the image's edge has a boundary there. Distance is that of a
    king's moves, as in the authors' code, which erodes by 3 x 3 pixels.

    Args:
      rle: COCO's compressed run lengths.
      share: of the diagonal.

    Returns:
      Run lengths of the same size.

    Source: Cheng et al. 2021, eq. 1 and section 5.
    """
    height, width = (int(side) for side in rle["size"])
    distance = max(1, round(share * float(np.hypot(height, width))))
    x, y, w, h = (int(side) for side in mask_utils.toBbox(rle))
    mask = mask_utils.decode(rle)
    inside = mask[y : y + h, x : x + w]  # nothing outside the box can be eroded or erode
    if inside.size:
        ringed = cv2.copyMakeBorder(np.ascontiguousarray(inside), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(ringed, np.ones((3, 3), np.uint8), iterations=distance)
        inside -= eroded[1:-1, 1:-1]
    return mask_utils.encode(np.asfortranarray(mask))
