"""Examples to one padded batch; cropping masks to grids is the last act."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, Int, UInt8

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.structs import Batch, Example, Instances

Box = tuple[int, int, int, int]


def make_batch(
    examples: Sequence[Example],
    canvas: Size,
    *,
    max_objects: int,
    mask_crop: int | None,
    positions: Sequence[int] | None = None,
    faults: Sequence[Sequence[str]] | None = None,
) -> Batch:
    """Pad `examples`, already resized, to one batch.

    Args:
      examples: b examples whose images fit in `canvas`.
      canvas: (height, width), pixels.
      max_objects: g, rows of ground truth an image. Objects come first, then crowds, each in file order; those beyond the
        capacity are left out and counted in `objects_cut`.
      mask_crop: m, side of the mask grids; None sends the whole canvas as grid.
      positions: of each example in the global batch; None: these are all of it.
      faults: of each example, what is wrong with each image that another stands in for; None: none does.

    Returns:
      Batch in canvas pixels. Images are zero outside the image proper; padded rows are zero and their frame is (0, 0, 1, 1).

    Raises:
      DataError: an image does not fit in the canvas.
    """
    for example in examples:
        if example.image.shape[0] > canvas[0] or example.image.shape[1] > canvas[1]:
            raise DataError(
                f"image id {example.image_id} is {example.image.shape[0]} x {example.image.shape[1]} (height x width), larger than its "
                f"canvas {canvas}; resize it first, and check that the source's `sizes` say what `__getitem__` returns"
            )
    rows = [_instances(example, canvas, max_objects, mask_crop) for example in examples]
    faults = faults or [()] * len(examples)
    return Batch(
        image=np.stack([_pad(example.image, canvas) for example in examples]),
        sizes=np.array([example.image.shape[:2] for example in examples], np.int32),
        instances=Instances(*(np.stack(field) for field in zip(*rows, strict=True))),
        positions=np.asarray(range(len(examples)) if positions is None else positions, np.int32),
        image_ids=np.array([example.image_id for example in examples], np.int64),
        objects_cut=np.array([max(0, len(example.labels) - max_objects) for example in examples], np.int32),
        stand_ins=np.array([len(told) for told in faults], np.int32),
        faults=np.array(["; ".join(told) for told in faults], np.str_),
        void=np.zeros(len(examples), np.bool_),
    )


def crop_mask(mask: UInt8[np.ndarray, "h w"], box: Box, m: int) -> tuple[UInt8[np.ndarray, "m m"], Float32[np.ndarray, "4"]]:
    """Grid of a mask and the frame it covers, each axis by its own rule.

    An axis along which the object fits in `m` pixels is copied pixel for pixel: the frame is `m` pixels long, integer, with
    the object in its middle; it may reach beyond the image, where cells are 0. A longer axis is resampled by area: the frame is
    the object's own extent and a cell holds the share of it that is covered.

    Args:
      mask: 0 or 1.
      box: tight box of the mask, integer pixels, x1 and y1 exclusive.
      m: side of the grid.

    Returns:
      Coverage 0 ... 255 and frame (x0, y0, x1, y1) in the mask's pixels.
    """
    x0, x1 = _extent(box[0], box[2], m)
    y0, y1 = _extent(box[1], box[3], m)
    window: UInt8[np.ndarray, "h w"] = np.zeros((y1 - y0, x1 - x0), np.uint8)
    window[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0] = mask[box[1] : box[3], box[0] : box[2]] * np.uint8(255)
    if window.shape != (m, m):
        window = cv2.resize(window, (m, m), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return window, np.array([x0, y0, x1, y1], np.float32)


def tight_box(mask: UInt8[np.ndarray, "h w"]) -> Box:
    """Smallest (x0, y0, x1, y1) that holds every pixel of `mask`, x1 and y1 exclusive; (0, 0, 0, 0) where there is none."""
    rows = np.flatnonzero(mask.max(axis=1, initial=0))
    if not len(rows):
        return 0, 0, 0, 0
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[y0:y1].max(axis=0))
    return int(columns[0]), y0, int(columns[-1]) + 1, y1


def _extent(low: int, high: int, m: int) -> tuple[int, int]:
    if high - low > m:
        return low, high
    start = low - (m - (high - low)) // 2
    return start, start + m


def _instances(example: Example, canvas: Size, g: int, m: int | None) -> Instances:
    chosen = np.argsort(example.crowd, kind="stable")[:g]
    n = len(chosen)
    masks, frames = _grids(example.masks, chosen, canvas, g, m)
    return Instances(
        boxes=_rows(example.boxes[chosen].astype(np.float32), g),
        labels=_rows(example.labels[chosen].astype(np.int32), g),
        crowd=_rows(example.crowd[chosen].astype(np.bool_), g),
        masks=masks,
        mask_frames=frames,
        valid=np.arange(g) < n,
    )


def _grids(
    masks: UInt8[np.ndarray, "n h w"], chosen: Int[np.ndarray, "s"], canvas: Size, g: int, m: int | None
) -> tuple[UInt8[np.ndarray, "g my mx"], Float32[np.ndarray, "g 4"]]:
    frames = np.tile(np.array([0, 0, 1, 1], np.float32), (g, 1))
    grids = np.zeros((g, *(canvas if m is None else (m, m))), np.uint8)
    for row, index in enumerate(chosen):
        if m is None:
            height, width = masks.shape[1:]
            np.multiply(masks[index], np.uint8(255), out=grids[row, :height, :width])
            frames[row] = 0, 0, canvas[1], canvas[0]
        else:
            grids[row], frames[row] = crop_mask(masks[index], tight_box(masks[index]), m)
    return grids, frames


def _rows(values: np.ndarray, g: int) -> np.ndarray:
    padded = np.zeros((g, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded


def _pad(image: np.ndarray, canvas: Size) -> np.ndarray:
    padded = np.zeros((*canvas, image.shape[2]), image.dtype)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded
