"""A COCO JSON file, read and checked: everything that can be told without opening an image is told here."""

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.coco_masks import covers_pixels
from maskrcnn_jax.data.image_folder import leaves_folder
from maskrcnn_jax.data.json_file import read_json
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.structs import Category

_MOST_PIXELS = 2**31  # that COCO's run lengths can count

_log = logging.getLogger(__name__)


class CocoImage(NamedTuple):
    """One row of `images`."""

    id: int
    file_name: str
    size: Size


class CocoObject(NamedTuple):
    """One row of `annotations`; `bbox` is (x, y, width, height) in pixels, None where the file has none or one without area."""

    id: int
    label: int
    crowd: bool
    bbox: tuple[float, float, float, float] | None
    segmentation: Any


class CocoTable(NamedTuple):
    """A checked file: categories in the order of their ids, images in file order, and the objects of each image.

    `left_out`: (image id, annotation id) of the objects that can cover no pixel, which are not among `objects`.
    """

    categories: tuple[Category, ...]
    images: tuple[CocoImage, ...]
    objects: tuple[tuple[CocoObject, ...], ...]
    left_out: tuple[tuple[int, int], ...]


def read_coco_json(path: Path) -> CocoTable:
    """Read and check a COCO instances file.

    Objects that can cover no pixel (a polygon without width or height, an RLE without ones) are left out and one warning is
    logged with their ids, because official COCO has a few.

    Raises:
      DataError: missing file or key, not JSON, no images or categories, a duplicate or unknown id, a size that is not positive, a
        file name outside the image folder, or an annotation that `covers_pixels` refuses or whose bbox is not finite or outside.
    """
    table = check_document(path, read_document(path))
    if table.left_out:
        ids = [annotation_id for _, annotation_id in table.left_out]
        _log.warning("%s: %d annotations without area left out, ids %s; remove them to silence this", path, len(ids), ids[:20])
    return table


def read_document(path: Path) -> dict[str, Any]:
    """The rows of a COCO file, each with an id of its own.

    Raises:
      DataError: a missing file, not JSON, a list of rows that is missing, or rows without ids or with the same.
    """
    document = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(f"{path}: no list `{key}`; give a COCO instances file with images, annotations and categories")
        for position, row in enumerate(document[key]):
            if not isinstance(row, dict) or type(row.get("id")) is not int:
                raise DataError(f"{path}: `{key}`[{position}] has no integer `id`: {row!r:.100}; number the rows of `{key}`")
        _refuse_duplicates(path, key, [row["id"] for row in document[key]])
    return document


def check_document(path: Path, document: dict[str, Any]) -> CocoTable:
    """The table of a `read_document` of the file `path`, which messages name.

    Raises:
      DataError: what `read_coco_json` says of categories, images and annotations.
    """
    categories = _categories(path, document["categories"])
    images = _images(path, document["images"])
    return CocoTable(categories, images, *_objects(path, document["annotations"], categories, images))


def _refuse_duplicates(path: Path, key: str, ids: list[int]) -> None:
    seen: set[int] = set()
    for id_ in ids:
        if id_ in seen:
            word = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
            raise DataError(f"{path}: {word} id {id_} occurs twice; give every row of `{key}` an id of its own")
        seen.add(id_)


def _categories(path: Path, rows: list[dict[str, Any]]) -> tuple[Category, ...]:
    if not rows:
        raise DataError(f"{path}: no categories; list the classes in `categories`")
    for row in rows:
        if not isinstance(row.get("name"), str):
            raise DataError(f"{path}: category id {row['id']} has no `name`; name it")
    return tuple(sorted(Category(row["id"], row["name"]) for row in rows))


def _images(path: Path, rows: list[dict[str, Any]]) -> tuple[CocoImage, ...]:
    if not rows:
        raise DataError(f"{path}: the dataset is empty, `images` has no row; check that this is the file you meant")
    return tuple(_image(f"{path}: image id {row['id']}", row) for row in rows)


def _image(where: str, row: dict[str, Any]) -> CocoImage:
    name, height, width = (row.get(key) for key in ("file_name", "height", "width"))
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: no `file_name`; add it")
    if leaves_folder(name):
        raise DataError(f"{where}: file_name {name!r} leaves the image folder; give names relative to that folder")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise DataError(f"{where}: height {height!r} and width {width!r} are not both positive integers; write the image's size")
    if height * width >= _MOST_PIXELS:
        raise DataError(f"{where}: {height} x {width} pixels (height x width) are more than a mask can have; write the image's size")
    return CocoImage(row["id"], name, (height, width))


def _objects(
    path: Path, rows: list[dict[str, Any]], categories: tuple[Category, ...], images: tuple[CocoImage, ...]
) -> tuple[tuple[tuple[CocoObject, ...], ...], tuple[tuple[int, int], ...]]:
    """The objects of each image, and (image id, annotation id) of those left out."""
    labels = {category.id: i + 1 for i, category in enumerate(categories)}
    sizes = {image.id: image.size for image in images}
    objects: dict[int, list[CocoObject]] = {image.id: [] for image in images}
    left_out: list[tuple[int, int]] = []
    for row in rows:
        image_id = row.get("image_id")
        try:
            if type(image_id) is not int or image_id not in sizes:
                raise DataError("no image has this id; add the image, or remove the annotation")
            found = _object(row, labels, sizes[image_id])
        except DataError as error:
            raise DataError(f"{path}: image id {image_id}, annotation id {row['id']}: {error}") from None
        if found is None:
            left_out.append((image_id, row["id"]))
        else:
            objects[image_id].append(found)
    return tuple(tuple(objects[image.id]) for image in images), tuple(left_out)


def _object(row: dict[str, Any], labels: dict[int, int], size: Size) -> CocoObject | None:
    """One annotation, or None where it can cover no pixel."""
    category_id = row.get("category_id")
    if type(category_id) is not int or category_id not in labels:
        raise DataError(f"unknown category id {category_id!r}; add it to `categories`, or correct it")
    if row.get("iscrowd", 0) not in (0, 1):
        raise DataError(f"iscrowd is {row['iscrowd']!r}; write 0 or 1")
    bbox = _bbox(row.get("bbox"), size)
    if not covers_pixels(row.get("segmentation"), *size):
        return None
    return CocoObject(row["id"], labels[category_id], bool(row.get("iscrowd", 0)), bbox, row["segmentation"])


def _bbox(bbox: Any, size: Size) -> tuple[float, float, float, float] | None:
    if bbox is None:
        return None
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(v, (int, float)) and abs(v) < math.inf for v in bbox):
        raise DataError(f"bbox {bbox!r:.80} is not [x, y, width, height] of finite numbers; correct it, or leave it out")
    x, y, width, height = bbox
    if width < 0 or height < 0 or x > size[1] or y > size[0] or x + width < 0 or y + height < 0:
        raise DataError(
            f"bbox {bbox} (x, y, width, height) lies outside the image of {size[0]} x {size[1]} (height x width) or has a negative side; "
            "correct it, or leave it out to take the mask's"
        )
    clipped_width, clipped_height = min(x + width, size[1]) - max(x, 0), min(y + height, size[0]) - max(y, 0)
    return (x, y, width, height) if clipped_width > 0 and clipped_height > 0 else None
