"""Prepared datasets as a source."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.channels import RGB_BYTES, read_channels
from maskrcnn_jax.data.coco import drawn_example
from maskrcnn_jax.data.coco_json import CocoObject, read_object
from maskrcnn_jax.data.decode import ImageHeader, read_header
from maskrcnn_jax.data.prepared.index import read_index
from maskrcnn_jax.data.prepared.records import Record, decoded, open_records
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.structs import Category, Example


class PreparedSource:
    """Images and objects of a folder that `maskrcnn prepare-data` wrote.

    Examples are those that `CocoSource` gives of the same data, bit for bit; what is said there of labels, boxes, sizes and of objects
    without a pixel holds here. Nothing but an index is read at construction.

    Attributes:
      prepared_folder: the folder.
      input_config: what images are decoded to.
      annotation_digest: 64 hex digits that change when annotations, categories, ids or file names do.
      categories, image_ids, sizes, object_counts, labels_present, federated: as `CocoSource` has them.
      category_rows: the rows of `categories` of the COCO file, with all their fields.
    """

    def __init__(self, folder: str | Path, *, input_config: InputConfig = RGB_BYTES) -> None:
        """Read the index.

        Args:
          folder: as `prepare-data` was given it.
          input_config: says which channels and type images have (`model.input` of an experiment).

        Raises:
          DataError: no such folder; one of something else or of another version; a file that is missing or of another length.
        """
        self.prepared_folder = Path(folder)
        self.input_config = input_config
        index = read_index(self.prepared_folder)
        self.annotation_digest = index.digest
        self.category_rows = index.category_rows
        self._others = index.others
        self.categories: tuple[Category, ...] = tuple(sorted(Category(row["id"], row["name"]) for row in index.category_rows))
        self.image_ids: Int[np.ndarray, "n"] = index.image_ids
        self.sizes: Int[np.ndarray, "n 2"] = index.sizes
        self.object_counts: Int[np.ndarray, "n"] = index.object_counts
        self.labels_present: Int[np.ndarray, "m 2"] = index.labels_present
        self.federated = index.federated
        self._names = tuple(index.file_names)
        self._labels = {category.id: i + 1 for i, category in enumerate(self.categories)}
        self._records: Sequence[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_records": None}  # each process opens the files for itself

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, i: int) -> Example:
        """Image `i` with its objects, in the pixels of the annotations' width and height.

        Raises:
          DataError: the record or the image in it cannot be read; names folder, image id and remedy.
          IndexError: `i` is not in [0, len(self)).
        """
        record, where = self.record(i), f"{self.prepared_folder}: image id {self.image_ids[i]}"
        try:
            image = read_channels(self.image_path(i), self.input_config, record.size, record.content)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        return drawn_example(image, record.image["id"], self._objects(record), where)

    def record(self, i: int) -> Record:
        """The bytes of image `i`, and its rows.

        Raises:
          DataError: the record cannot be read.
          IndexError: `i` is not in [0, len(self)).
        """
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} of {len(self)} images")
        if self._records is None:
            self._records = open_records(self.prepared_folder)
        try:
            return decoded(self._records[i])
        except Exception as error:  # of damaged bytes each of the libraries raises what it likes
            where = f"{self.prepared_folder}: image id {self.image_ids[i]}"
            raise DataError(f"{where}: its record cannot be read ({error}); copy the folder again, or prepare the data anew") from error

    def image_path(self, i: int) -> Path:
        """What the file of image `i` was called, relative to its folder; there is none."""
        return Path(self._names[i])

    def read_image(self, i: int, size: Size | None) -> np.ndarray:
        """The pixels of image `i`; raises as `record` and `read_channels`."""
        return read_channels(self.image_path(i), self.input_config, size, self.record(i).content)

    def read_header(self, i: int) -> ImageHeader:
        """What the file of image `i` says of itself; raises as `record` and `read_header`."""
        return read_header(self.image_path(i), self.record(i).content)

    def objects(self, i: int) -> list[CocoObject]:
        """The annotations of image `i`, with their ids; those without a pixel are not among them. Raises as `record`."""
        return self._objects(self.record(i))

    def coco_document(self, indices: Iterable[int]) -> dict[str, Any]:
        """A COCO file of the images `indices`: their `images` and `annotations`, and all else. Raises as `record`."""
        records = [self.record(i)._replace(content=b"") for i in indices]
        return {
            **self._others,
            "images": [record.image for record in records],
            "annotations": [row for record in records for row in record.annotations],
            "categories": self.category_rows,
        }

    def _objects(self, record: Record) -> list[CocoObject]:
        found = (read_object(row, self._labels, record.size) for row in record.annotations)
        return [each for each in found if each is not None]
