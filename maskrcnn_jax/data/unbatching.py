"""A row of a batch as an example again: what training is told of an image."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.structs import Batch, Example

_HALF = 128  # coverage from which a pixel is drawn as the object's


def example_of(batch: Batch, row: int, dtype: Literal["uint8", "uint16"] = "uint8") -> Example:
    """Image `row` of a batch without its padding, and its objects, with bitmaps drawn from their grids and frames.

    Float32 values are rounded to `dtype`, which is what `InputConfig` says.
    Masks are as training has them: of an object that was larger than its grid the fine detail is gone, and one whose grid is nowhere
    half covered has no pixel.
    """
    height, width = (int(side) for side in batch.sizes[row])
    image, objects = batch.image[row, :height, :width], batch.instances
    valid = objects.valid[row]
    grids, frames = objects.masks[row][valid], objects.mask_frames[row][valid]
    masks = np.zeros((len(grids), height, width), np.uint8)
    for mask, grid, frame in zip(masks, grids, frames, strict=True):
        mask[...] = paste_grid(grid, frame, (height, width))
    return Example(
        image=image if image.dtype != np.float32 else np.clip(np.rint(image), 0, np.iinfo(dtype).max).astype(dtype),
        image_id=int(batch.image_ids[row]),
        masks=masks,
        boxes=objects.boxes[row][valid],
        labels=objects.labels[row][valid],
        crowd=objects.crowd[row][valid],
    )


def paste_grid(grid: UInt8[np.ndarray, "my mx"], frame: Float32[np.ndarray, "4"], size: Size) -> UInt8[np.ndarray, "h w"]:
    """Bitmap of `size` with the grid of a mask stretched over its frame; what reaches out of the image is cut off.

    The other way of `crop_mask`, and exact where that copied pixels.

    Args:
      grid: coverage 0 ... 255.
      frame: (x0, y0, x1, y1), whole pixels.
      size: (height, width) of the bitmap.
    """
    x0, y0, x1, y1 = (int(edge) for edge in frame)
    stretched = cv2.resize(grid, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) >= _HALF
    bitmap: UInt8[np.ndarray, "h w"] = np.zeros(size, np.uint8)
    inside = bitmap[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    inside[...] = stretched[max(0, -y0) :, max(0, -x0) :][: inside.shape[0], : inside.shape[1]]
    return bitmap
