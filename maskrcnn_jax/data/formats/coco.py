"""COCO instances files: polygons, run-length encodings of both kinds, crowds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.coco_json import CocoImage, CocoObject, check_document, read_document
from maskrcnn_jax.data.faults import Fault, refusing
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.image_folder import missing_files
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.errors import first_few

MISSING = "give their folder by --images"  # what to do about missing image files
# What the written rows have of their own.
_OWN = {
    "images": {"id", "file_name", "height", "width"},
    "annotations": {"id", "image_id", "category_id", "segmentation", "iscrowd"},
    "categories": {"id", "name"},
}


def read_coco(source: Path, *, images: Path | None = None) -> ImportedDataset:
    """A COCO instances JSON; ids, `bbox`, `area` and all further fields are kept.

    Args:
      source: the JSON file.
      images: the image folder; by default that of the JSON.

    Raises:
      DataError: what `data.read_coco_json` refuses, or image files that are missing.
    """
    return dataset_of(source, read_document(source, refusing([])), images or source.parent)


def dataset_of(path: Path, document: dict[str, Any], folder: Path) -> ImportedDataset:
    """The dataset of a `read_document` of the file `path` with its images in `folder`, checked."""
    left_out: list[Fault] = []
    table = check_document(path, document, refusing(left_out))
    require_files(path, table.images, folder, MISSING)
    extra = {key: {row["id"]: _further(row, own) for row in document[key]} for key, own in _OWN.items()}
    names = {i + 1: category.name for i, category in enumerate(table.categories)}

    def imported(image: CocoImage, found: CocoObject) -> ImportedObject:
        source = f"{path}: image id {image.id}, annotation id {found.id}"
        return ImportedObject(source, names[found.label], found.segmentation, found.crowd, found.id, extra["annotations"][found.id])

    return ImportedDataset(
        source=path,
        image_folder=folder,
        categories=tuple(ImportedCategory(c.name, c.id, extra["categories"][c.id]) for c in table.categories),
        images=tuple(
            ImportedImage(image.file_name, image.size, tuple(imported(image, o) for o in objects), image.id, extra["images"][image.id])
            for image, objects in zip(table.images, table.objects, strict=True)
        ),
        notes=tuple(fault.message for fault in left_out),
        extra={key: value for key, value in document.items() if key not in _OWN},
    )


def require_files(path: Path, images: Sequence[CocoImage], folder: Path, remedy: str) -> None:
    """Raise DataError, with the `remedy`, unless the files of all `images` of the dataset `path` are in `folder`."""
    missing = [images[i] for i in missing_files(folder, [image.file_name for image in images])]
    if missing:
        absent = first_few([f"{image.file_name} (image id {image.id})" for image in missing])
        raise DataError(f"{path}: {len(missing)} of {len(images)} image files are not in {folder}: {absent}; {remedy}")


def _further(row: dict[str, Any], own: set[str]) -> Mapping[str, Any]:
    """The other fields, but for a `bbox` or `area` of None: those are computed."""
    empty = {key for key in ("bbox", "area") if row.get(key) is None}
    return {key: value for key, value in row.items() if key not in own | empty}
