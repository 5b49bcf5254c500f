"""COCO's segmentations: what can be checked without drawing them, their bitmaps and measures, and run-length encodings of bitmaps.

A segmentation is a list of polygons [x, y, x, y, ...] in pixels, or a run-length encoding {"size": [h, w], "counts": runs down the
columns, zeros first}, `counts` being a list of integers or COCO's compressed text. pycocotools draws polygons, in C and without checks.
"""

import math
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Int, Integer, UInt8
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.source import DataError


def covers_pixels(segmentation: Any, height: int, width: int) -> bool:
    """Check a segmentation of an image of `height` x `width` pixels; False where it can cover no pixel.

    False is a polygon without extent in x or y (official COCO has a few), or an RLE without ones.

    Raises:
      DataError: what the segmentation breaks and the remedy; the caller adds file and ids.
    """
    if isinstance(segmentation, dict):
        runs = _runs(segmentation, height, width)
        return bool(runs[1::2].sum() > 0)
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(f"segmentation is {segmentation!r:.60}; give polygons or an RLE, or remove the annotation")
    boxes = [_polygon_box(polygon, height, width) for polygon in segmentation]
    x0, y0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, y1 = max(b[2] for b in boxes), max(b[3] for b in boxes)
    if x1 < 0 or y1 < 0 or x0 > width or y0 > height:
        raise DataError(
            f"polygons at x {x0:g} ... {x1:g}, y {y0:g} ... {y1:g} lie outside the image of {height} x {width} (height x width); "
            "check that coordinates are pixels of this image, or remove the annotation"
        )
    return any(b[2] > b[0] and b[3] > b[1] for b in boxes)


def bitmap(segmentation: Any, height: int, width: int) -> UInt8[np.ndarray, "h w"]:
    """Bitmap, 0 or 1, of a segmentation that `covers_pixels` has checked; several polygons make their union.

    Polygons are drawn by pycocotools. Runs are unrolled here: its decoder warns under NumPy 2 and trusts their lengths.
    """
    if isinstance(segmentation, list):
        segmentation = _drawn(segmentation, height, width)
    counts = segmentation["counts"]
    runs = _integers(counts) if isinstance(counts, list) else _decompressed(counts)
    ones = np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs)
    return cv2.transpose(ones.reshape(width, height))


def area_and_box(segmentation: Any, height: int, width: int) -> tuple[int, list[float]]:
    """Pixels and tight box (x, y, width, height) of the bitmap of a segmentation that `covers_pixels` has checked."""
    if isinstance(segmentation, list):
        packed = _drawn(segmentation, height, width)
    elif isinstance(segmentation["counts"], list):
        packed = coco_mask.frPyObjects(segmentation, height, width)
    else:
        packed = segmentation
    return int(coco_mask.area(packed)), coco_mask.toBbox(packed).tolist()


def run_lengths(values: Integer[np.ndarray, "h w"] | Bool[np.ndarray, "h w"]) -> dict[int, dict[str, Any]]:
    """COCO's compressed RLE, ready for JSON, of the pixels of each value but 0, ascending.

    The runs are found once, however many values there are: a mask is not made of each.
    """
    height, width = values.shape
    column_major = values.T.ravel()
    starts = np.concatenate([[0], np.flatnonzero(column_major[1:] != column_major[:-1]) + 1])
    lengths = np.diff(starts, append=column_major.size)
    order = np.argsort(column_major[starts], kind="stable")
    found, firsts = np.unique(column_major[starts][order], return_index=True)
    runs = zip(found.tolist(), np.split(order, firsts[1:]), strict=True)
    return {int(value): _compressed(starts[own], lengths[own], height, width) for value, own in runs if value}


def _compressed(starts: Int[np.ndarray, "n"], lengths: Int[np.ndarray, "n"], height: int, width: int) -> dict[str, Any]:
    """RLE of the ones that begin at `starts`, pixels counted down the columns."""
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[1::2] = lengths
    counts[0::2] = np.append(starts, height * width) - np.append(0, starts + lengths)
    whole = {"size": [height, width], "counts": counts.tolist() if counts[-1] else counts[:-1].tolist()}
    return {"size": [height, width], "counts": coco_mask.frPyObjects(whole, height, width)["counts"].decode("ascii")}


def _drawn(polygons: list[list[float]], height: int, width: int) -> dict[str, Any]:
    """Compressed RLE of the union of polygons."""
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def _polygon_box(polygon: Any, height: int, width: int) -> tuple[float, float, float, float]:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise DataError(f"polygon {polygon!r:.60} is not [x, y, x, y, ...] of at least 3 points; correct or remove it")
    try:
        finite = abs(math.fsum(polygon)) < math.inf
    except (TypeError, ValueError, OverflowError):
        finite = False
    if not finite:
        raise DataError("a polygon has a coordinate that is no finite number; correct it or remove the annotation")
    xs, ys = polygon[::2], polygon[1::2]
    x0, y0, x1, y1 = min(xs), min(ys), max(xs), max(ys)
    if x0 < -width or y0 < -height or x1 > 2 * width or y1 > 2 * height:
        raise DataError(
            f"a polygon reaches x {x0:g} ... {x1:g}, y {y0:g} ... {y1:g}, far outside the image of {height} x {width} (height x width); "
            "check that coordinates are pixels of this image, or remove the annotation"
        )
    return x0, y0, x1, y1


def _runs(rle: dict[str, Any], height: int, width: int) -> Int[np.ndarray, "n"]:
    """Lengths of the runs, checked."""
    size = rle.get("size")
    if size != [height, width] or not all(type(side) is int for side in size):  # pycocotools wants no floats that are equal
        raise DataError(f"RLE of size {size!r:.60}, the image is {[height, width]} (height, width); encode the mask at the image's size")
    counts = rle.get("counts")
    try:
        runs = _decompressed(counts) if isinstance(counts, str) else _integers(counts)
    except (ValueError, TypeError, OverflowError):
        raise DataError("RLE counts are neither integers nor COCO's compressed text; encode the mask with pycocotools") from None
    if ((runs < 0) | (runs > height * width)).any() or runs.sum() != height * width:
        raise DataError(f"RLE counts sum to {runs.sum()}, the image has {height} x {width} pixels; encode the mask at the image's size")
    return runs


def _integers(counts: Any) -> Int[np.ndarray, "n"]:
    if not isinstance(counts, list) or not all(type(c) is int for c in counts):
        raise ValueError
    return np.array(counts, np.int64)


def _decompressed(text: str | bytes) -> Int[np.ndarray, "n"]:
    """Runs of COCO's compressed text.

    Each character less 48 holds 5 bits, low ones first; bit 5 says that more follow, bit 4 of the last is the sign. From the
    fourth value on, what is stored is the difference to the run two before.
    """
    code = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    last = (code & 32) == 0
    if not code.size or code.min() < 0 or code.max() > 63 or not last[-1]:
        raise ValueError
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(code.size) - np.repeat(starts, np.diff([*starts, code.size]))
    if place.max() > 9:
        raise ValueError
    values = np.add.reduceat((code & 31) << (5 * place), starts)
    values -= np.where(code[last] & 16, 32 << (5 * place[last]), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
