"""An imported dataset -> COCO instances JSON, checked."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.coco_masks import area_and_box, covers_pixels
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedObject
from maskrcnn_jax.data.image_folder import leaves_folder
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.errors import first_few


class Written(NamedTuple):
    """How many rows a file was given, and what was left out, by the reader or the writer: a line each, with file and object."""

    images: int
    objects: int
    classes: int
    notes: tuple[str, ...]


def write_coco(path: Path, dataset: ImportedDataset) -> Written:
    """Write a dataset as COCO instances JSON; on an error no file is left, nor one changed.

    Args:
      path: a `.json` file, new.
      dataset: what a reader of this package gives.

    Raises:
      DataError: what `require_new` and `coco_document` say.
      OSError: the file cannot be written.
    """
    require_new(path)
    document, notes = coco_document(dataset)
    with TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_text(json.dumps(document), encoding="utf-8")
        part.rename(path)
    images, objects, classes = (len(document[key]) for key in ("images", "annotations", "categories"))
    return Written(images, objects, classes, (*dataset.notes, *notes))


def require_new(path: Path) -> None:
    """Raise DataError where `write_coco` would not write: another suffix than .json, an existing file, a missing folder."""
    if path.suffix != ".json":
        raise DataError(f"{path}: the dataset is written as COCO JSON; give a name that ends with .json")
    if os.path.lexists(path):
        raise DataError(f"{path}: exists already and would be overwritten; give another name")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path}: its folder does not exist; make it first")


def coco_document(dataset: ImportedDataset) -> tuple[dict[str, Any], list[str]]:
    """The rows of a COCO instances file, and a note of each object or part of one that is left out.

    Ids are the dataset's own where it has them, else 1, 2, ... in its order. Box and area are those of the drawn mask, unless an
    object has them in `extra`.

    Raises:
      DataError: no image or class, two of one name, a file name outside the image folder, an object of an unknown class, or
        one that `covers_pixels` refuses.
    """
    _require_some(dataset)
    ids = {category.name: _id(category.id, i) for i, category in enumerate(dataset.categories)}
    document: dict[str, Any] = {**dataset.extra, "images": [], "annotations": []}
    document["categories"] = [_category(category, ids[category.name]) for category in dataset.categories]
    notes: list[str] = []
    for i, image in enumerate(dataset.images):
        image_id = _id(image.id, i)
        height, width = image.size
        row = {"id": image_id, "file_name": image.file_name, "height": height, "width": width}
        document["images"].append({**image.extra, **row})
        for found in image.objects:
            if found.label not in ids:
                raise DataError(
                    f"{found.source}: class {found.label!r} is not one of {first_few(list(ids))}; name it by --labels, or correct it"
                )
            drawn = _drawable(found, image.size, notes)
            if drawn:
                own = {"id": _id(found.id, len(document["annotations"])), "image_id": image_id, "category_id": ids[found.label]}
                document["annotations"].append({**drawn, **found.extra, **own, "iscrowd": int(found.crowd)})
    return document, notes


def _require_some(dataset: ImportedDataset) -> None:
    source = dataset.source
    if not dataset.images:
        raise DataError(f"{source}: no images of the dataset found; check the path and docs/data.md for the layout")
    if not dataset.categories:
        raise DataError(f"{source}: no object has a class; name the classes by --labels")
    _check_names([category.name for category in dataset.categories], f"{source}: class", "give each class a name of its own")
    _check_names([image.file_name for image in dataset.images], f"{source}: image", "list each image once")
    for image in dataset.images:
        if leaves_folder(image.file_name):
            raise DataError(
                f"{source}: {image.file_name!r} leaves the image folder {dataset.image_folder}; give one that holds all images by --images"
            )


def _check_names(names: Sequence[str], what: str, remedy: str) -> None:
    """Refuse a name that occurs twice, for which there is the `remedy`, and one that JSON cannot tell."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{what} {name!r} occurs twice; {remedy}")
        seen.add(name)
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{what} {name!r} is no Unicode text; rename it in UTF-8") from None


def _id(own: int | None, position: int) -> int:
    return position + 1 if own is None else own


def _category(category: ImportedCategory, id_: int) -> dict[str, Any]:
    return {**category.extra, "id": id_, "name": category.name}


def _drawable(found: ImportedObject, size: Size, notes: list[str]) -> dict[str, Any] | None:
    """Segmentation, box and area; None, and a note, where the object has no pixel."""
    segmentation = found.segmentation
    if isinstance(segmentation, list):
        segmentation = [polygon for polygon in segmentation if not isinstance(polygon, list) or len(polygon) >= 6]
        parts = len(found.segmentation) - len(segmentation)
        if parts:
            notes.append(f"{found.source}: {parts} of {len(found.segmentation)} polygons left out: fewer than 3 points")
        if not segmentation:
            return None
    try:
        visible = covers_pixels(segmentation, *size)
    except DataError as error:
        raise DataError(f"{found.source}: {error}") from None
    area, box = area_and_box(segmentation, *size) if visible else (0, [])
    if not area:
        notes.append(f"{found.source}: left out: it covers no pixel")
        return None
    return {"segmentation": segmentation, "bbox": box, "area": area}
