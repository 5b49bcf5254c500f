"""Finding the files of datasets that are folders."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from maskrcnn_jax.data.decode import ImageSizeError, image_files, opened, read_labels, read_size
from maskrcnn_jax.data.source import DataError


def files_by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder, and of folders in it, by their names relative to it without ending.

    Raises:
      DataError: no such folder, or two files that differ in their endings alone.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; docs/data.md has the layout that is expected")
    return by_stem(folder, (path for below in (folder, *within(folder, "")) for path in image_files(below)))


def by_stem(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Files in `folder` by their names relative to it without ending; a DataError of two that differ in their endings alone."""
    found: dict[str, Path] = {}
    for path in files:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{path}: {found[stem].name} has the same name but for its ending; rename or remove one")
        found[stem] = path
    return found


def within(folder: Path, pattern: str) -> list[Path]:
    """What is called `pattern` in `folder` and, links followed, in folders in it, by name; of an empty pattern these folders."""
    return sorted(folder / name for name in glob.glob(f"**/{pattern}", root_dir=folder, recursive=True, include_hidden=True))


def one_of(found: dict[str, Path], stem: str, folder: Path, wanted_by: Path) -> Path:
    """The file called `stem` with any ending.

    Raises:
      DataError: there is none, naming the file that needs it.
    """
    if stem not in found:
        raise DataError(
            f"{wanted_by}: its image {folder / stem} with .jpg, .png or another ending is missing; restore it, or remove this file"
        )
    return found[stem]


def read_mask(path: Path, image: Path, *, colours: bool = False) -> Int32[np.ndarray, "h w"]:
    """The labels in the file `path`, see `read_labels`, of the size that its image has, too, as stored or as turned.

    Raises:
      DataError: the image is of another size, or one of the two cannot be read.
    """
    with opened(path) as mask:  # before it is decoded, for it may be huge
        height, width = mask.height, mask.width
    try:
        read_size(image, (height, width))
    except ImageSizeError:
        tall, wide = read_size(image)
        raise DataError(
            f"{path}: the mask is {height} x {width} (height x width), its image {image} {tall} x {wide}; export the mask as large as the "
            "image, or put back the image it was drawn on"
        ) from None
    return read_labels(path, (height, width), colours=colours)


def text_lines(path: Path) -> list[str]:
    """The lines of a file of UTF-8 text, perhaps with a byte order mark; a DataError where it is none."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text ({error}); write it as UTF-8") from None


def split_folder(parent: Path, split: str | None) -> Path:
    """The folder of a split: `parent / split`, or without one the only folder in `parent`.

    Raises:
      DataError: no such folder, or several to choose from.
    """
    if split is not None:
        if not (parent / split).is_dir():
            raise DataError(f"{parent / split}: no such folder; --split is one of {_names(parent)}")
        return parent / split
    splits = _names(parent)
    if len(splits) != 1:
        raise DataError(f"{parent}: has the folders {splits}; name one by --split")
    return parent / splits[0]


def _names(parent: Path) -> Sequence[str]:
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def class_names(path: Path) -> list[str]:
    """The lines of a list of classes, which are numbered by their lines; blank ones at its end are none.

    Raises:
      DataError: a blank line before others, or no text.
    """
    names = [line.strip() for line in text_lines(path)]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise DataError(f"{path}: line {names.index('') + 1} is blank, and classes are numbered by their lines; name it, or take it out")
    return names
