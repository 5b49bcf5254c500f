"""Pictures of findings: the part of the image around the objects, with these drawn on it."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax import visualize
from maskrcnn_jax.data import CocoSource, DataError, Source, read_image
from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.objects import Objects, coco_objects, example_objects
from maskrcnn_jax.structs import Example

Picture = UInt8[np.ndarray, "_ _ 3"]

SIDE = 320
"""Long side of a picture of one image, pixels."""
_AROUND = 0.75  # of the objects' long side, shown on each side of them
_LEAST = 24  # pixels shown around objects at least
_QUALITY = 80


class Pictures:
    """Pictures of findings of some splits; images are read again, one at a time."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """Learn where each image id is."""
        self._sources = sources
        self._index = {
            split: {int(id_): i for i, id_ in enumerate(ids)}
            for split, source in sources.items()
            if (ids := getattr(source, "image_ids", None)) is not None
        }

    def jpeg(self, finding: Finding) -> bytes | None:
        """A picture of the finding's images side by side; None where none of them can be shown."""
        wanted: dict[tuple[str, int], list[int]] = {}
        for place in finding.places:
            if place.image_id is not None and (index := self._at(place.split, place.image_id)) is not None:
                ids = wanted.setdefault((place.split, index), [])
                ids += [place.annotation_id] if place.annotation_id is not None else []
        tiles = [tile for (split, index), ids in wanted.items() if (tile := _tile(self._sources[split], index, ids)) is not None]
        if not tiles:
            return None
        picture = tiles[0] if len(tiles) == 1 else visualize.grid(tiles, len(tiles))
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return encoded.tobytes()

    def _at(self, split: str, image_id: int) -> int | None:
        if split not in self._index and split in self._sources:  # a source that does not tell its ids is asked for them once
            self._index[split] = _ids_by_reading(self._sources[split])
        return self._index.get(split, {}).get(image_id)


def _ids_by_reading(source: Source) -> dict[int, int]:
    found = {}
    for i in range(len(source)):
        try:
            found[int(source[i].image_id)] = i
        except Exception:  # what a user's source raises is among the findings
            continue
    return found


def _tile(source: Source, index: int, ids: Sequence[int]) -> Picture | None:
    """Image `index` with the objects `ids`, or as a whole where none of them can be drawn; None where it cannot be read."""
    try:
        example, objects = _read(source, index)
    except Exception:  # what a user's source raises is among the findings
        return None
    kept = [k for k, id_ in enumerate(objects.ids) if id_ in ids]
    masks = [objects.mask(k) for k in kept]
    if not kept or masks[0].shape != example.image.shape[:2]:
        return _small(example.image)
    boxes = [objects.box(k, mask) for k, mask in zip(kept, masks, strict=True)]
    drawn = example._replace(
        masks=np.stack(masks),
        boxes=np.stack(boxes),
        labels=np.array([objects.labels[k] for k in kept], np.int32),
        crowd=np.array([objects.crowd[k] for k in kept], np.bool_),
    )
    return _small(visualize.draw_example(_cropped(drawn), source.categories))


def _read(source: Source, index: int) -> tuple[Example, Objects]:
    """An example without objects, and the objects."""
    if not isinstance(source, CocoSource):
        example = source[index]
        return example, example_objects(example)
    try:
        image = read_image(source.image_path(index), tuple(source.sizes[index]))
    except DataError:
        image = read_image(source.image_path(index))  # of another size
    empty = np.zeros(0, np.int32)
    masks, boxes = np.zeros((0, *image.shape[:2]), np.uint8), np.zeros((0, 4), np.float32)
    return Example(image, int(source.image_ids[index]), masks, boxes, empty, empty.astype(np.bool_)), coco_objects(source, index)


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


def _small(picture: Picture) -> Picture:
    """Of at most `SIDE` pixels."""
    factor = SIDE / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
