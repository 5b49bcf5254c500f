"""What is to be prepared: the rows of a COCO instances file, and where the image files that they name are read."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.coco_json import CocoImage, CocoTable, check_document
from maskrcnn_jax.data.decode import readable
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.formats import Format, read_rows
from maskrcnn_jax.data.formats.coco import MISSING, require_files
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.errors import first_few


class ImageFolder(NamedTuple):
    """Image files in a folder; what to do where one is missing."""

    path: Path
    remedy: str

    def require(self, source: Path, images: Sequence[CocoImage]) -> int:
        """Bytes of the files of all images together; DataError, which names the dataset `source`, where one is missing."""
        require_files(source, images, self.path, self.remedy)
        return sum((self.path / image.file_name).stat().st_size for image in images)

    def read(self, name: str) -> bytes:
        """What a file holds; DataError where it cannot be read."""
        with readable(self.path / name):
            return (self.path / name).read_bytes()


class ImageZip(NamedTuple):
    """Image files in a folder of a zip file; see `ImageFolder`."""

    file: zipfile.ZipFile
    folder: str

    def require(self, source: Path, images: Sequence[CocoImage]) -> int:
        """See `ImageFolder`."""
        sizes = {info.filename: info.file_size for info in self.file.infolist()}
        missing = [image for image in images if f"{self.folder}/{image.file_name}" not in sizes]
        if missing:
            absent = first_few([f"{image.file_name} (image id {image.id})" for image in missing])
            raise DataError(
                f"{source}: {len(missing)} of {len(images)} image files are not in {self.file.filename}: {absent}; get it again"
            )
        return sum(sizes[f"{self.folder}/{image.file_name}"] for image in images)

    def read(self, name: str) -> bytes:
        """See `ImageFolder`."""
        try:
            return self.file.read(f"{self.folder}/{name}")
        except Exception as error:  # of damaged bytes zipfile raises whatever comes
            raise DataError(f"{self.file.filename}: {name} cannot be read ({error}); get the file again") from None


class Dataset(NamedTuple):
    """A dataset before its preparation.

    source: what messages call it.
    document: rows, as `read_document` gives them.
    table: the same, checked.
    images: where the image files lie.
    notes: of what is left out of `document`, a line each.
    """

    source: Path
    document: dict[str, Any]
    table: CocoTable
    images: ImageFolder | ImageZip
    notes: tuple[str, ...]


def checked(source: Path, document: dict[str, Any], images: ImageFolder | ImageZip, notes: Sequence[str] = ()) -> Dataset:
    """Check the rows of `document`.

    Raises:
      DataError: what `read_coco_json` refuses.
    """
    return Dataset(source, document, check_document(source, document, refusing([])), images, tuple(notes))


def read_dataset(name: Format, source: Path, **options: Any) -> Dataset:
    """The dataset at `source`, with options as `read_format` takes them.

    Raises:
      DataError: what the format's reader, `coco_document` or `read_coco_json` refuse.
    """
    document, folder, notes = read_rows(name, source, **options)
    return checked(source, document, ImageFolder(folder, MISSING), notes)
