"""LabelMe: one JSON file an image."""

import base64
import binascii
import math
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.coco_masks import bitmap, covers_pixels, run_lengths
from maskrcnn_jax.data.decode import read_labels, read_size
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.layout import within
from maskrcnn_jax.data.formats.outlines import ellipse, finite_numbers, rectangle
from maskrcnn_jax.data.image_folder import leaves_folder, refuse_long
from maskrcnn_jax.data.json_file import read_json
from maskrcnn_jax.data.source import DataError

_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(source: Path, *, images: Path | None = None, labels: Sequence[str] = ()) -> ImportedDataset:
    """A folder of LabelMe's JSON files, or one of them: polygons, rectangles, circles and masks.

    Shapes of one label and one `group_id` are the parts of one object: polygons of a list, or an RLE where one of them is a mask.

    Args:
      source: the folder, whose files, and those of folders in it, are taken in the order of their names; or a file.
      images: the image folder; by default that of the JSON files. Their `imagePath` is
        relative to the JSON file, or to this folder.
      labels: the classes in the order of their ids; by default those that occur, sorted.

    Raises:
      DataError: not LabelMe's JSON; an image that is missing, unreadable, of another size than the JSON says or outside the
        image folder; a label not among `labels`; shapes whose points are missing or not finite.
    """
    files = within(source, "*.json") if source.is_dir() else [source]
    folder = images or (source if source.is_dir() else source.parent)
    notes: list[str] = []
    read = tuple(_image(path, folder, notes) for path in files)
    occurring = labels or sorted({found.label for image in read for found in image.objects})
    return ImportedDataset(source, folder, tuple(ImportedCategory(label) for label in occurring), read, tuple(notes))


def _image(path: Path, folder: Path, notes: list[str]) -> ImportedImage:
    document = read_json(path)
    shapes = document.get("shapes") if isinstance(document, dict) else None
    name = document.get("imagePath") if isinstance(document, dict) else None
    if not isinstance(shapes, list) or not isinstance(name, str) or not name:
        raise DataError(f"{path}: no `shapes` and `imagePath`, so not of LabelMe; give a folder of LabelMe's JSON files alone")
    refuse_long(f"{path}: imagePath {name!r:.200}", name)
    name = _relative(path, name.replace("\\", "/"), folder)
    sides = (document.get("imageHeight"), document.get("imageWidth"))
    stated = sides if all(type(side) is int for side in sides) else None
    try:
        size = read_size(folder / name, stated)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    groups: dict[Any, list[Any]] = {}
    for number, shape in enumerate(shapes):
        where = f"{path}: shape {number}"
        label, group = _label_and_group(shape, where)
        part = _part(path, shape, size, where, notes)
        if part is not None:
            groups.setdefault((label, group) if group is not None else number, []).append((where, label, part))
    return ImportedImage(name, size, tuple(_joined(parts, size) for parts in groups.values()))


def _relative(path: Path, name: str, folder: Path) -> str:
    """The file name, relative to the image folder, of what the JSON file `path` calls `name`.

    LabelMe writes it relative to the JSON file; who moves the files apart leaves it, and means the image folder.
    """
    beside = posixpath.join(path.parent.absolute().as_posix(), name)
    within = [found for found in (posixpath.relpath(beside, folder.absolute().as_posix()), name) if not leaves_folder(found)]
    if not within:
        raise DataError(f"{path}: imagePath {name!r} leaves the image folder {folder}; give a folder that holds all images by --images")
    return next((found for found in within if os.path.exists(folder / found)), within[0])


def _label_and_group(shape: Any, where: str) -> tuple[str, int | None]:
    label, group = (shape.get("label"), shape.get("group_id")) if isinstance(shape, dict) else (None, None)
    if not isinstance(label, str) or not label:
        raise DataError(f"{where}: no `label`; name its class in LabelMe")
    if group is not None and type(group) is not int:
        raise DataError(f"{where}: group_id {group!r:.40} is no whole number; correct it in LabelMe")
    return label, group


def _part(path: Path, shape: dict[str, Any], size: Size, where: str, notes: list[str]) -> Any:
    """A polygon, an RLE, or None, and a note, of a shape without area."""
    kind = shape.get("shape_type", "polygon")  # files of old versions have none
    if kind in _WITHOUT_AREA:
        notes.append(f"{where}: left out: a {kind} has no area")
        return None
    points = _points(shape, where)
    if kind == "polygon":
        if len(points) < 6:
            notes.append(f"{where}: left out: a polygon of fewer than 3 points")
            return None
        return points
    if kind not in ("rectangle", "circle", "mask"):
        raise DataError(f"{where}: unknown shape_type {kind!r:.40}; draw it as polygon, rectangle, circle or mask, or remove it")
    if len(points) != 4:
        raise DataError(f"{where}: a {kind} has 2 points, this one {len(points) // 2}; draw it anew, or remove it")
    if kind == "rectangle":
        return rectangle(*points)
    if kind == "circle":
        x, y, *on_it = points
        radius = math.dist((x, y), on_it)
        return ellipse(x, y, radius, radius)
    return _mask(path, shape, points, size, where)


def _points(shape: dict[str, Any], where: str) -> list[float]:
    points = shape.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise DataError(f"{where}: `points` is no list of [x, y]; draw it anew, or remove it")
    return finite_numbers([value for point in points for value in point], where)


def _mask(path: Path, shape: dict[str, Any], points: list[float], size: Size, where: str) -> dict[str, Any]:
    """The RLE of a picture, as base64, of the pixels from the first point to the second, both within."""
    x0, y0, x1, y1 = (int(value) for value in points)
    if not (0 <= x0 <= x1 < size[1] and 0 <= y0 <= y1 < size[0]):
        raise DataError(f"{where}: the mask reaches out of the image of {size[0]} x {size[1]} (height x width); draw it anew, or remove it")
    try:
        content = base64.b64decode(shape.get("mask") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise DataError(f"{where}: its `mask` is no base64 ({error}); draw it anew, or remove it") from None
    try:
        pixels = read_labels(path, (y1 - y0 + 1, x1 - x0 + 1), content=content)
    except DataError as error:
        raise DataError(f"{where}: its `mask`: {error}") from None
    whole = np.zeros(size, np.bool_)
    whole[y0 : y1 + 1, x0 : x1 + 1] = pixels != 0
    return _rle(whole)


def _joined(parts: list[Any], size: Size) -> ImportedObject:
    """One object of all parts: their polygons, or where one is an RLE, that of their union."""
    where, label, _ = parts[0]
    segmentations = [part for _, _, part in parts]
    if not any(isinstance(part, dict) for part in segmentations):
        return ImportedObject(where, label, segmentations)
    union = np.zeros(size, np.bool_)
    for source, _, part in parts:
        segmentation = part if isinstance(part, dict) else [part]
        try:
            covers_pixels(segmentation, *size)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
        union |= bitmap(segmentation, *size) > 0
    return ImportedObject(where, label, _rle(union))


def _rle(mask: Any) -> dict[str, Any]:
    return run_lengths(mask).get(1, {"size": list(mask.shape), "counts": [mask.size]})
