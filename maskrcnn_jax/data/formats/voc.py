"""Pascal VOC's segmentations: pictures of object numbers and of classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Int32

from maskrcnn_jax.data.coco_masks import bitmap, run_lengths
from maskrcnn_jax.data.decode import read_labels
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.layout import class_names, files_by_stem, one_of, read_mask, text_lines
from maskrcnn_jax.data.source import DataError

VOID = 255  # border of objects, and what nobody could tell
# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on


def read_pascal_voc(source: Path, *, split: str | None = None) -> ImportedDataset:
    """A folder in the layout of VOC2012: JPEGImages, SegmentationObject and what tells the classes.

    Pixels of SegmentationObject/NAME.png are the numbers of objects. The class of one is the value that SegmentationClass/NAME.png
    has there, with the names of VOC, or those of class_names.txt, whose first line is the background; without that picture it is the
    name of the object at this place in Annotations/NAME.xml. Pixels of value 255 belong to no object.

    Args:
      source: the folder, VOCdevkit/VOC2012 for example.
      split: name of a list of images in ImageSets/Segmentation; by default all of SegmentationObject.

    Raises:
      DataError: a missing folder, list, image or class; pictures that cannot be read, of other sizes, or of colours instead of numbers.
    """
    numbers, images = files_by_stem(source / "SegmentationObject"), files_by_stem(source / "JPEGImages")
    classes = files_by_stem(source / "SegmentationClass") if (source / "SegmentationClass").is_dir() else {}
    own = _own_names(source)
    notes: list[str] = []
    read = []
    for stem in numbers if split is None else _listed(source, split):
        path = numbers.get(stem)
        if path is None:
            raise DataError(f"{source / 'SegmentationObject' / stem}.png: no such file; restore it, or take {stem} from the list {split}")
        image = one_of(images, stem, source / "JPEGImages", path)
        mask = _without_void(read_mask(path, image))
        objects = run_lengths(mask)
        if stem in classes:
            found = _by_picture(path, objects, _without_void(read_labels(classes[stem], mask.shape)), own or CLASSES, notes)
        else:
            found = _by_xml(path, objects, source / "Annotations" / f"{stem}.xml")
        read.append(ImportedImage(image.relative_to(source / "JPEGImages").as_posix(), mask.shape, tuple(found)))
    used = {found.label for image in read for found in image.objects}
    names = own or (CLASSES if used <= set(CLASSES) else sorted(used))
    return ImportedDataset(source, source / "JPEGImages", tuple(ImportedCategory(name) for name in names), tuple(read), tuple(notes))


def _own_names(source: Path) -> list[str]:
    """The lines of class_names.txt after the background's; none where there is no such file."""
    path = source / "class_names.txt"
    if not path.is_file():
        return []
    names = [name for name in class_names(path) if name != "__ignore__"]
    if not names or "background" not in names[0]:
        raise DataError(f"{path}: the first class is not the background, which is value 0; write _background_ before the others")
    return names[1:]


def _listed(source: Path, split: str) -> list[str]:
    """The names in a list of ImageSets."""
    path = source / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        raise DataError(f"{path}: no such list of images; name another by --split, or none to take all")
    return [line.split()[0] for line in text_lines(path) if line.strip()]


def _without_void(values: Int32[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    values[values == VOID] = 0
    return values


def _by_picture(
    path: Path, objects: dict[int, Any], classes: Int32[np.ndarray, "h w"], names: Sequence[str], notes: list[str]
) -> Iterator[ImportedObject]:
    """The objects with the class that most of their pixels have in the picture `classes`."""
    for number, rle in objects.items():
        where = f"{path}: object {number}"
        inside = classes[bitmap(rle, *classes.shape) > 0]
        values, counts = np.unique(inside[inside > 0], return_counts=True)  # the pictures' borders may differ
        if not len(values):
            raise DataError(f"{where}: no pixel of it has a class in SegmentationClass; correct one of the two pictures")
        value = int(values[counts.argmax()])
        if value > len(names):
            raise DataError(
                f"{where}: class {value} of SegmentationClass is not one of 1 ... {len(names)}; name the classes in class_names.txt"
            )
        others = int(counts.sum() - counts.max())
        if others:
            notes.append(f"{where}: taken as {names[value - 1]}, though {others} of its {counts.sum()} pixels are of other classes")
        yield ImportedObject(where, names[value - 1], rle)


def _by_xml(path: Path, objects: dict[int, Any], annotations: Path) -> Iterator[ImportedObject]:
    """The objects with the names that the XML lists in the order of their numbers."""
    if not annotations.is_file():
        raise DataError(f"{path}: neither SegmentationClass has a picture of this name nor is there {annotations}; one tells the classes")
    try:
        names = [node.findtext("name", "").strip() for node in ElementTree.parse(annotations).getroot().findall("object")]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{annotations}: not XML ({error}); export or download it again") from None
    for number, rle in objects.items():
        if number > len(names) or not names[number - 1]:
            raise DataError(f"{path}: object {number}: {annotations} has {len(names)} objects, none of this number with a name; correct it")
        yield ImportedObject(f"{path}: object {number}", names[number - 1], rle)
