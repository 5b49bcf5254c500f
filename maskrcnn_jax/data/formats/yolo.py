"""YOLO's segmentation text: one file an image, one line an object, corners as shares of width and height."""

from pathlib import Path
from typing import Any

import yaml

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.decode import read_size
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.layout import by_stem, class_names, files_by_stem, one_of, text_lines, within
from maskrcnn_jax.data.source import DataError

_BEYOND = 0.01  # how far outside 0 ... 1 a coordinate may lie: exporters round, and annotators reach over the edge


def read_yolo(source: Path, *, split: str | None = None) -> ImportedDataset:
    """A folder with data.yaml or classes.txt, images and label files.

    The files of a split are in images/SPLIT and labels/SPLIT, or in SPLIT/images and SPLIT/labels; without one in images and
    labels; folders in them are read, too. A line is the class, counted from 0, and the corners x y x y ... of one polygon.

    Args:
      source: the folder.
      split: name of the split.

    Raises:
      DataError: a missing folder or list of classes; folders of images and no split; a label file without image, or that is not of
        this form; boxes and no polygon in all of them.
    """
    names = _class_names(source)
    images, labels = _folders(source, split)
    pictures = files_by_stem(images)
    texts = by_stem(labels, (path for path in within(labels, "*.txt") if path.name != "classes.txt"))
    for stem, path in texts.items():
        one_of(pictures, stem, images, path)
    boxes: list[str] = []
    notes: list[str] = []
    read = []
    for stem, picture in pictures.items():
        size = read_size(picture)
        if stem not in texts:
            notes.append(f"{picture}: no {labels / stem}.txt: taken as an image without objects")
        objects = _objects(texts[stem], names, size, boxes) if stem in texts else ()
        read.append(ImportedImage(picture.relative_to(images).as_posix(), size, objects))
    if boxes and not any(image.objects for image in read):
        raise DataError(f"{boxes[0]}: a box, as all lines of the files in {labels}; export the dataset for segmentation, not detection")
    left_out = (f"{where}: left out: a box, not a polygon" for where in boxes)
    return ImportedDataset(source, images, tuple(ImportedCategory(name) for name in names), tuple(read), (*notes, *left_out))


def _class_names(source: Path) -> list[str]:
    """Of data.yaml, which has a list or {number: name}, or the lines of classes.txt."""
    if source.is_file():
        raise DataError(f"{source}: is a file; give the folder of data.yaml or classes.txt")
    described, listed = source / "data.yaml", source / "classes.txt"
    if described.is_file():
        document = _yaml(described)
        names = document.get("names") if isinstance(document, dict) else None
        if isinstance(names, dict) and set(names) == set(range(len(names))):
            names = [names[i] for i in range(len(names))]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{described}: `names` is no list of class names, nor one numbered from 0; name the classes there")
        return names
    if listed.is_file():
        return class_names(listed)
    raise DataError(f"{source}: neither data.yaml nor classes.txt names the classes; add one, or give the folder that has it")


def _yaml(path: Path) -> Any:
    content = path.read_bytes()
    try:
        return yaml.safe_load(content)
    except Exception as error:  # of what only looks like a date or a number PyYAML raises whatever Python does
        raise DataError(f"{path}: no YAML ({error!s:.200}); write it anew, as UTF-8 text") from None


def _folders(source: Path, split: str | None) -> tuple[Path, Path]:
    """The image folder and the folder of labels."""
    if split is None:
        candidates = [(source / "images", source / "labels")]
    else:
        candidates = [(source / "images" / split, source / "labels" / split), (source / split / "images", source / split / "labels")]
    for images, labels in candidates:
        if images.is_dir() and labels.is_dir():
            if split is None and (folders := within(images, "")):
                raise DataError(f"{folders[0]}: a folder among the images; name a split by --split, or move its files up")
            return images, labels
    tried = " nor ".join(f"{images} with {labels}" for images, labels in candidates)
    raise DataError(f"{source}: no folders {tried}; name another split by --split")


def _objects(path: Path, names: list[str], size: Size, boxes: list[str]) -> tuple[ImportedObject, ...]:
    """The polygons of a file; where boxes are joins `boxes`."""
    found = []
    for number, line in enumerate(text_lines(path), 1):
        where = f"{path}: line {number}"
        label, *corners = _numbers(line, where) or [0.0]
        if not line.strip():
            continue
        if not 0 <= label < len(names) or label != int(label):
            raise DataError(f"{where}: class {label:g} is not one of 0 ... {len(names) - 1}; add its name, or correct it")
        if len(corners) == 4:
            boxes.append(where)
        elif len(corners) % 2:
            raise DataError(f"{where}: {len(corners)} coordinates are no pairs x y; correct the line")
        else:
            found.append(ImportedObject(where, names[int(label)], [_in_pixels(corners, size, where)]))
    return tuple(found)


def _numbers(line: str, where: str) -> list[float]:
    try:
        return [float(word) for word in line.split()]
    except ValueError as error:
        raise DataError(f"{where}: not numbers ({error!s:.100}); a line is the class and x y x y ...") from None


def _in_pixels(corners: list[float], size: Size, where: str) -> list[float]:
    if not all(-_BEYOND <= value <= 1 + _BEYOND for value in corners):
        raise DataError(f"{where}: coordinates are not between 0 and 1; divide them by width and height of the image")
    return [round(value * size[1 - i % 2], 3) for i, value in enumerate(corners)]
