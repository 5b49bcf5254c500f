"""A COCO JSON file, read and checked: everything that can be told without opening an image is told here."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.coco_lists import check_lists, has_lists
from maskrcnn_jax.data.coco_masks import covers_pixels
from maskrcnn_jax.data.faults import Fault, Tell, refusing
from maskrcnn_jax.data.image_folder import leaves_folder, refuse_long
from maskrcnn_jax.data.json_file import read_json
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.structs import Category

_MOST_PIXELS = 2**31  # that COCO's run lengths can count
_LONGEST_SIDE = 2**20  # that OpenCV takes; pycocotools keeps a point for each fifth of a pixel of an outline

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

    federated: whether the images have LVIS's lists of classes, see `coco_lists`.
    """

    categories: tuple[Category, ...]
    images: tuple[CocoImage, ...]
    objects: tuple[tuple[CocoObject, ...], ...]
    federated: bool


def read_coco_json(path: Path, tell: Tell | None = None) -> CocoTable:
    """Read and check a COCO instances file.

    Objects that can cover no pixel (a polygon without width or height, an RLE without ones) are left out and one warning is
    logged with their ids, because official COCO has a few.

    Args:
      path: the file.
      tell: hears of every fault, also of objects left out, and rows at fault are then left out; None raises the first fault.

    Raises:
      DataError: missing file or key, not JSON; and without `tell`: no images or categories, a duplicate or unknown id, a size that is
        not positive, a file name outside the image folder, an annotation that `covers_pixels` refuses whose bbox is not finite
        or outside or whose area is no finite number, or lists of classes that `check_lists` tells of.
    """
    left_out: list[Fault] = []
    tell = tell or refusing(left_out)
    table = check_document(path, read_document(path, tell), tell)
    if left_out:
        ids = [fault.annotation_id for fault in left_out]
        _log.warning("%s: %d annotations without area left out, ids %s; remove them to silence this", path, len(ids), ids[:20])
    return table


def read_document(path: Path, tell: Tell) -> dict[str, Any]:
    """What a COCO file holds; of images, annotations and categories without rows that have no id, or one that an earlier row has.

    Args:
      path: the file.
      tell: hears of these rows.

    Raises:
      DataError: a missing file, not JSON, or a list of rows that is missing.
    """
    document = read_json(path)
    rows = {}
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(f"{path}: no list `{key}`; give a COCO instances file with images, annotations and categories")
        rows[key] = _numbered(path, key, document[key], tell)
    return document | rows


def check_document(path: Path, document: dict[str, Any], tell: Tell) -> CocoTable:
    """The table of a `read_document` of the file `path`, without rows at fault, of which `tell` hears."""
    categories = _categories(path, document["categories"], tell)
    images = _images(path, document["images"], tell)
    image_ids = {row["id"] for row in document["images"]}
    objects = _objects(path, document["annotations"], categories, images, image_ids, tell)
    federated = has_lists(document)
    if federated:
        present = {image.id: {categories[o.label - 1].id for o in found} for image, found in zip(images, objects, strict=True)}
        check_lists(path, document, present, tell)
    return CocoTable(categories, images, objects, federated)


def _numbered(path: Path, key: str, rows: list[Any], tell: Tell) -> list[dict[str, Any]]:
    """The rows with an id of their own."""
    kept = {}
    for position, row in enumerate(rows):
        if not isinstance(row, dict) or type(row.get("id")) is not int or not -(2**63) <= row["id"] < 2**63:
            message = f"{path}: `{key}`[{position}] has no integer `id` of 64 bits: {row!r:.100}; number the rows of `{key}`"
            tell(Fault("row-without-id", path, message))
        elif row["id"] in kept:
            word = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
            message = f"{path}: {word} id {row['id']} occurs twice; give every row of `{key}` an id of its own"
            tell(Fault("duplicate-id", path, message)._replace(**{f"{word}_id": row["id"]}))
        else:
            kept[row["id"]] = row
    return list(kept.values())


def _categories(path: Path, rows: list[dict[str, Any]], tell: Tell) -> tuple[Category, ...]:
    if not rows:
        tell(Fault("no-rows", path, f"{path}: no categories; list the classes in `categories`"))
    for row in rows:
        if not isinstance(row.get("name"), str):
            tell(Fault("category-row", path, f"{path}: category id {row['id']} has no `name`; name it", category_id=row["id"]))
    names = {row["id"]: row["name"] if isinstance(row.get("name"), str) else f"{row.get('name')!r:.40}" for row in rows}
    return tuple(sorted(Category(id_, name) for id_, name in names.items()))


def _images(path: Path, rows: list[dict[str, Any]], tell: Tell) -> tuple[CocoImage, ...]:
    if not rows:
        tell(Fault("no-rows", path, f"{path}: the dataset is empty, `images` has no row; check that this is the file you meant"))
    images = []
    for row in rows:
        try:
            images.append(_image(f"{path}: image id {row['id']}", row))
        except DataError as error:
            tell(Fault("image-row", path, str(error), image_id=row["id"]))
    return tuple(images)


def _image(where: str, row: dict[str, Any]) -> CocoImage:
    name, height, width = (row.get(key) for key in ("file_name", "height", "width"))
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: no `file_name`; add it")
    refuse_long(f"{where}: file_name {name!r:.200}", name)
    if leaves_folder(name):
        raise DataError(f"{where}: file_name {name!r:.200} leaves the image folder; give names relative to that folder")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise DataError(f"{where}: height {height!r:.40} and width {width!r:.40} are not both positive integers; write the image's size")
    if height * width >= _MOST_PIXELS or max(height, width) > _LONGEST_SIDE:
        raise DataError(
            f"{where}: {height!r:.40} x {width!r:.40} pixels (height x width) are more than a mask can have; write the image's size"
        )
    return CocoImage(row["id"], name, (height, width))


def _objects(
    path: Path, rows: list[dict[str, Any]], categories: tuple[Category, ...], images: tuple[CocoImage, ...], image_ids: set[int], tell: Tell
) -> tuple[tuple[CocoObject, ...], ...]:
    """Objects of each of `images`; `image_ids` has those of images at fault too, whose annotations nothing can be said about."""
    labels = {category.id: i + 1 for i, category in enumerate(categories)}
    sizes = {image.id: image.size for image in images}
    objects: dict[int, list[CocoObject]] = {image.id: [] for image in images}

    def report(row: dict[str, Any], kind: str, message: str, *, left_out: bool = False) -> None:
        image_id = row.get("image_id")
        named = image_id if type(image_id) is int else None
        where = f"{path}: image id {image_id!r:.40}, annotation id {row['id']}"
        tell(Fault(kind, path, f"{where}: {message}", named, row["id"], left_out=left_out, row=row))

    for row in rows:
        image_id = row.get("image_id")
        if type(image_id) is not int or image_id not in image_ids:
            report(row, "unknown-image", "no image has this id; add the image, or remove the annotation")
        elif image_id in sizes:
            try:
                found = read_object(row, labels, sizes[image_id])
            except DataError:
                for kind, message in _faults(row, labels, sizes[image_id]):
                    report(row, kind, message)
                continue
            if found is None:
                report(row, "no-area", "a segmentation without area, left out; remove the annotation", left_out=True)
            else:
                objects[image_id].append(found)
    return tuple(tuple(objects[image.id]) for image in images)


def read_object(row: dict[str, Any], labels: dict[int, int], size: Size) -> CocoObject | None:
    """One annotation, or None where it can cover no pixel.

    Args:
      row: of `annotations`.
      labels: of each category id.
      size: (height, width) of its image.

    Raises:
      DataError: what `read_coco_json` refuses; without file and ids.
    """
    label, crowd, bbox, _, covers = (check(row, labels, size) for check in _CHECKS.values())
    return CocoObject(row["id"], label, crowd, bbox, row["segmentation"]) if covers else None


def _faults(row: dict[str, Any], labels: dict[int, int], size: Size) -> Iterator[tuple[str, str]]:
    """Kind and message of all that is wrong with an annotation."""
    for kind, check in _CHECKS.items():
        try:
            check(row, labels, size)
        except DataError as error:
            yield kind, str(error)


def _label(row: dict[str, Any], labels: dict[int, int], size: Size) -> int:
    category_id = row.get("category_id")
    if type(category_id) is not int or category_id not in labels:
        raise DataError(f"unknown category id {category_id!r:.40}; add it to `categories`, or correct it")
    return labels[category_id]


def _crowd(row: dict[str, Any], labels: dict[int, int], size: Size) -> bool:
    if row.get("iscrowd", 0) not in (0, 1):
        raise DataError(f"iscrowd is {row['iscrowd']!r:.40}; write 0 or 1")
    return bool(row.get("iscrowd", 0))


def _covers(row: dict[str, Any], labels: dict[int, int], size: Size) -> bool:
    return covers_pixels(row.get("segmentation"), *size)


def _bbox(row: dict[str, Any], labels: dict[int, int], size: Size) -> tuple[float, float, float, float] | None:
    bbox = row.get("bbox")
    if bbox is None:
        return None
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(v, (int, float)) and abs(v) < _MOST_PIXELS for v in bbox):
        raise DataError(f"bbox {bbox!r:.80} is not [x, y, width, height] of finite numbers of pixels; correct it, or leave it out")
    x, y, width, height = bbox
    if width < 0 or height < 0 or x > size[1] or y > size[0] or x + width < 0 or y + height < 0:
        raise DataError(
            f"bbox {bbox} (x, y, width, height) lies outside the image of {size[0]} x {size[1]} (height x width) or has a negative side; "
            "correct it, or leave it out to take the mask's"
        )
    clipped_width, clipped_height = min(x + width, size[1]) - max(x, 0), min(y + height, size[0]) - max(y, 0)
    return (x, y, width, height) if clipped_width > 0 and clipped_height > 0 else None


def _area(row: dict[str, Any], labels: dict[int, int], size: Size) -> None:
    """Evaluation reads it, long after: what is no number ends it, and what is below 0 or NaN is counted wrong."""
    area = row.get("area")
    if area is not None and not (type(area) in (int, float) and 0 <= area < _MOST_PIXELS):
        raise DataError(f"area {area!r:.40} is no finite number of pixels, 0 or more; correct it, or leave it out to take the mask's")


_CHECKS: dict[str, Callable[..., Any]] = {
    "unknown-category": _label,
    "iscrowd": _crowd,
    "bbox": _bbox,
    "area": _area,
    "segmentation": _covers,
}
"""What is checked of an annotation, in the order that faults are told in; each gives what becomes of it."""
