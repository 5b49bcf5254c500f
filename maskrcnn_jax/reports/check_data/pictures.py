"""Pictures of findings: the part of the image around the objects, with these drawn on it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax import visualize
from maskrcnn_jax.data import DataError, ImageSizeError, Source, bitmap, covers_pixels, part_of, source_name, tight_box
from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.objects import Box, Mask, Objects, coco_objects, example_objects
from maskrcnn_jax.reports.check_data.opening import Filed, Opened, dataset_name
from maskrcnn_jax.structs import Category, Example

Picture = UInt8[np.ndarray, "_ _ 3"]

SIDE = 400
"""Long side of a picture of one image, pixels."""
_AROUND = 0.75  # of the objects' long side, shown on each side of them
_LEAST = 24  # pixels shown around objects at least


class Drawn(NamedTuple):
    """An object as it is drawn: its mask, perhaps empty, its box in the image's pixels, and what it is called."""

    mask: Mask
    box: Box
    name: str


class Pictures:
    """Pictures of findings; images are read again, one at a time."""

    def __init__(self, splits: Opened, image_ids: Mapping[str, Mapping[int, int]]) -> None:
        """Of findings of `splits`; `image_ids` are those of each split by index."""
        self._splits = splits
        self._index = {
            (split, dataset_name(splits.sources[split], i), id_): i for split, ids in image_ids.items() for i, id_ in ids.items()
        }

    def of(self, finding: Finding) -> Picture | None:
        """A picture of the finding's images side by side; None where none of them can be shown."""
        wanted: dict[tuple[str, int], list[int]] = {}
        for place in finding.places:
            index = self._index.get((place.split, place.dataset, place.image_id)) if place.image_id is not None else None
            if index is not None:
                ids = wanted.setdefault((place.split, index), [])
                ids += [place.annotation_id] if place.annotation_id is not None else []
        tiles = [tile for (split, index), ids in wanted.items() if (tile := self._tile(split, index, ids)) is not None]
        if not tiles:
            return None
        return tiles[0] if len(tiles) == 1 else visualize.grid(tiles, len(tiles))

    def _tile(self, split: str, index: int, ids: Sequence[int]) -> Picture | None:
        """An image with the objects `ids`, or as a whole where none of them can be drawn; None where it cannot be read."""
        source, left_out = self._splits.sources[split], self._splits.left_out.get(split, {})
        part, part_index = part_of(source, index)
        dataset = source_name(part)
        try:
            image, objects = _read(part, part_index)
        except Exception:  # what a user's source raises is among the findings
            return None
        size = tuple(int(side) for side in source.sizes[index])
        if image.shape[:2] != size:
            return _sized(image)
        drawn = [_object(objects, k, source) for k, id_ in enumerate(objects.ids) if id_ is not None and id_ in ids]
        rows = (left_out[dataset, id_] for id_ in ids if (dataset, id_) in left_out and id_ not in objects.ids)
        drawn += [found for row in rows if (found := _unread(row, *image.shape[:2])) is not None]
        return _sized(_around(image, drawn) if drawn else image)


def _read(source: Source, index: int) -> tuple[Picture, Objects]:
    """An image as it can be shown, and its objects."""
    if not isinstance(source, Filed):
        example = source[index]
        return visualize.as_rgb(example.image), example_objects(example)
    height, width = source.sizes[index]
    try:
        image = source.read_image(index, (int(height), int(width)))
    except ImageSizeError:
        image = source.read_image(index, None)
    return visualize.as_rgb(image), coco_objects(source, index)


def _object(objects: Objects, k: int, source: Source) -> Drawn:
    """One that training sees, or one without a pixel, whose place its polygons tell."""
    mask, name = objects.mask(k), source.categories[objects.labels[k] - 1].name
    return Drawn(mask, objects.box(k, mask) if mask.any() else _extent(objects.polygons[k]), name)


def _unread(row: dict[str, Any], height: int, width: int) -> Drawn | None:
    """What can be drawn of an annotation that the reader leaves out: its mask, or a box around what there is."""
    segmentation = row.get("segmentation")
    with contextlib.suppress(DataError):
        if covers_pixels(segmentation, height, width):
            mask = bitmap(segmentation, height, width)
            return Drawn(mask, np.array(tight_box(mask), np.float32), "")
    empty, limits = np.zeros((height, width), np.uint8), np.array([width, height, width, height], np.float32)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        x, y, w, h = row.get("bbox")  # type: ignore[misc]
        return Drawn(empty, np.clip(_extent([[x, y, x + w, y + h]]), 0, limits), "")
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return Drawn(empty, np.clip(_extent(segmentation), 0, limits), "")
    return None


def _extent(polygons: Any) -> Box:
    """The smallest box that holds all points; TypeError, ValueError or OverflowError where they are none."""
    points = np.concatenate([np.asarray(polygon, np.float32).reshape(-1, 2) for polygon in polygons])
    if not np.isfinite(points).all():
        raise ValueError("not finite")
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _around(image: Picture, drawn: Sequence[Drawn]) -> Picture:
    """The objects, and the part of the image around them."""
    example = Example(
        image=image,
        image_id=0,
        masks=np.stack([found.mask for found in drawn]),
        boxes=np.stack([found.box for found in drawn]),
        labels=np.arange(1, len(drawn) + 1, dtype=np.int32),
        crowd=np.zeros(len(drawn), np.bool_),
    )
    return visualize.draw_example(_cropped(example), [Category(k, found.name or "left out") for k, found in enumerate(drawn)])


def _cropped(example: Example) -> Example:
    """The part of an example around its objects, whose boxes and masks may differ."""
    height, width = example.image.shape[:2]
    rows, columns = np.nonzero(example.masks.max(axis=0))
    corners = (
        np.concatenate([example.boxes.reshape(-1, 2), np.stack([columns, rows], axis=1)]) if len(rows) else example.boxes.reshape(-1, 2)
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = max(_LEAST, _AROUND * float((high - low).max()))
    x0, y0 = (int(max(side - margin, 0)) for side in low)
    x1, y1 = (int(min(side + margin, limit)) + 1 for side, limit in zip(high, (width, height), strict=True))
    return example._replace(
        image=np.ascontiguousarray(example.image[y0:y1, x0:x1]),
        masks=example.masks[:, y0:y1, x0:x1],
        boxes=(example.boxes - np.array([x0, y0, x0, y0])).astype(np.float32),
    )


def _sized(picture: Picture) -> Picture:
    """Of `SIDE` pixels along the longer side."""
    factor = SIDE / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
