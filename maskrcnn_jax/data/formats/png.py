"""Folders of images with masks as pictures: instance-coloured, or one file an object."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.coco_masks import run_lengths
from maskrcnn_jax.data.decode import image_files, read_size
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.layout import by_stem, files_by_stem, one_of, read_mask
from maskrcnn_jax.data.source import DataError


class _Masks(NamedTuple):
    """An image and its mask files: (class, file, whether the whole file is one object)."""

    image: Path
    files: list[tuple[str, Path, bool]]


def read_png(source: Path, *, labels: Sequence[str] = ()) -> ImportedDataset:
    """A folder of images and masks in one of three layouts.

    - images/NAME.jpg with masks/NAME.png: each colour but black is an object.
    - images/NAME.jpg with masks/NAME/*.png: each file is an object, where it is not black.
    - NAME/images/NAME.png with NAME/masks/*.png, as the 2018 Data Science Bowl has them: likewise.

    With one class its name is given. With several, folders named after them come first within the masks': masks/CLASS/NAME.png,
    masks/CLASS/NAME/*.png, NAME/masks/CLASS/*.png. Any image format that keeps pixels serves.

    Args:
      source: the folder.
      labels: the class; where there are several or none, the classes are folders, in this order of their ids or by name.

    Raises:
      DataError: none of the layouts; a mask without image, or of another size; a file that cannot be read.
    """
    bowl = not (source / "images").is_dir()
    one = labels[0] if len(labels) == 1 else None
    images = list(_bowl(source, one) if bowl else _two_folders(source, one))
    folder = source if bowl else source / "images"
    notes = tuple(f"{masks.image}: no masks: taken as an image without objects" for masks in images if not masks.files)
    names = labels or sorted({label for masks in images for label, _, _ in masks.files})
    read = tuple(_image(masks, folder) for masks in images)
    left_out = tuple(note for _, empty in read for note in empty)
    return ImportedDataset(
        source, folder, tuple(ImportedCategory(name) for name in names), tuple(image for image, _ in read), notes + left_out
    )


def _two_folders(source: Path, one: str | None) -> list[_Masks]:
    """images/ and masks/."""
    images, masks = files_by_stem(source / "images"), source / "masks"
    files: dict[str, list[tuple[str, Path, bool]]] = {stem: [] for stem in images}
    for label, folder in _by_class(masks, one):
        whole = by_stem(folder, image_files(folder))
        for stem, path in whole.items():
            one_of(images, stem, source / "images", path)
            files[stem].append((label, path, False))
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            if below.name in whole:
                raise DataError(f"{below}: {whole[below.name].name} beside it is of the same image; keep the folder or the file")
            one_of(images, below.name, source / "images", below)
            files[below.name] += [(label, path, True) for path in _objects(below)]
    return [_Masks(images[stem], files[stem]) for stem in images]


def _bowl(source: Path, one: str | None) -> Iterator[_Masks]:
    """A folder an image, of folders images/ and masks/."""
    if not source.is_dir():
        raise DataError(f"{source}: no such folder; give the folder of images and masks")
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        images = image_files(folder / "images") if (folder / "images").is_dir() else []
        if len(images) != 1:
            raise DataError(f"{folder}: {len(images)} images in its folder images; one an image folder is expected, or {source / 'images'}")
        files = [(label, path, True) for label, below in _by_class(folder / "masks", one) for path in _objects(below)]
        yield _Masks(images[0], files)


def _objects(folder: Path) -> list[Path]:
    """The files of one image, each an object; a DataError where there are folders among them, which would be passed over."""
    below = next((path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")), None)
    if below is not None:
        raise DataError(
            f"{below}: a folder among masks of one image; move its files up, or, where it is a class, name several or none by --labels"
        )
    return image_files(folder)


def _by_class(masks: Path, one: str | None) -> list[tuple[str, Path]]:
    """Classes and the folders of their masks."""
    if not masks.is_dir():
        raise DataError(f"{masks}: no such folder; docs/data.md has the layouts that are expected")
    if one is not None:
        return [(one, masks)]
    stray = image_files(masks)
    if stray:
        raise DataError(f"{stray[0]}: lies in no folder of a class; name the one class by --labels, or make masks/CLASS/")
    return [(path.name, path) for path in sorted(masks.iterdir()) if path.is_dir()]


def _image(masks: _Masks, folder: Path) -> tuple[ImportedImage, list[str]]:
    """The image with its objects, and notes of files without any."""
    size: Size | None = None
    found, empty = [], []
    for label, path, is_one in masks.files:
        values = read_mask(path, masks.image, colours=True)
        size = values.shape
        objects = run_lengths(values != 0 if is_one else values)
        if is_one and not objects:
            empty.append(f"{path}: left out: it covers no pixel")
        for value, rle in objects.items():
            found.append(ImportedObject(str(path) if is_one else f"{path}: value {value}", label, rle))
    return ImportedImage(masks.image.relative_to(folder).as_posix(), size or read_size(masks.image), tuple(found)), empty
