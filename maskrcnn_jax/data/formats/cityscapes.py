"""Cityscapes: pictures of instance ids."""

from pathlib import Path

from maskrcnn_jax.data.coco_masks import run_lengths
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.layout import read_mask, split_folder
from maskrcnn_jax.data.source import DataError

# The classes that Cityscapes measures instances of, by their label ids.
THINGS = {24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"}
NOT_MEASURED = {29: "caravan", 30: "trailer"}
GROUND_TRUTH, IMAGE = "_gtFine_instanceIds.png", "_leftImg8bit.png"
_LARGEST_LABEL = 33
_LICENSE_PLATE = 65535  # label -1 in 16 bits


def read_cityscapes(source: Path, *, split: str | None = None) -> ImportedDataset:
    """The folder that holds gtFine and leftImg8bit, as they are unpacked.

    A pixel of 1000 and above is of instance value % 1000 of class value // 1000. One below is of a class without instances, or of a
    group of things that could not be told apart: a crowd. Classes keep their label ids, 24 ... 33; caravans and trailers, which the
    benchmark does not measure, are left out.

    Args:
      source: the folder.
      split: train, val or test; by default the only one that is there.

    Raises:
      DataError: a missing folder, split or image; pictures that cannot be read, of another size, or with unknown ids.
    """
    folder = split_folder(source / "gtFine", split)
    images, notes, read = source / "leftImg8bit", [], []
    for path in sorted(folder.glob(f"*/*{GROUND_TRUTH}")):
        name = f"{folder.name}/{path.parent.name}/{path.name.removesuffix(GROUND_TRUTH)}{IMAGE}"
        values = read_mask(path, images / name)
        found = []
        for value, rle in run_lengths(values).items():
            where = f"{path}: id {value}"
            label = value // 1000 if value >= 1000 and value != _LICENSE_PLATE else value
            if label in THINGS:
                found.append(ImportedObject(where, THINGS[label], rle, crowd=value < 1000))
            elif label in NOT_MEASURED:
                notes.append(f"{where}: left out: a {NOT_MEASURED[label]}, which the benchmark does not measure")
            elif value != _LICENSE_PLATE and (value >= 1000 or value > _LARGEST_LABEL):
                raise DataError(f"{where}: no label of Cityscapes; give the files ...{GROUND_TRUTH} as they are published")
        read.append(ImportedImage(name, values.shape, tuple(found)))
    categories = tuple(ImportedCategory(name, label) for label, name in THINGS.items())
    return ImportedDataset(source, images, categories, tuple(read), tuple(notes))
