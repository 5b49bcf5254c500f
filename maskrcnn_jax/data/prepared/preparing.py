"""A dataset -> a folder of records."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from pycocotools import mask as coco_mask

from maskrcnn_jax.data.channels import require_readable
from maskrcnn_jax.data.formats import Format
from maskrcnn_jax.data.prepared.coco2017 import Bar, open_coco2017
from maskrcnn_jax.data.prepared.dataset import Dataset, read_dataset
from maskrcnn_jax.data.prepared.index import make_index, write_index
from maskrcnn_jax.data.prepared.records import Record, packed, write_records
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.download import Progress

Origin = Format | Literal["coco2017"]


class Prepared(NamedTuple):
    """How many rows a folder was given, and what was left out or will be left out of training: a line each, with file and object."""

    images: int
    objects: int
    classes: int
    notes: tuple[str, ...]


@contextmanager
def open_dataset(name: Origin, source: Path, bar: Bar, **options: Any) -> Iterator[Dataset]:
    """The dataset at `source`, checked.

    Args:
      name: its format; or coco2017, see `open_coco2017`.
      source: where it is.
      bar: of downloads.
      options: as `formats.read_format` takes them; of coco2017 `split` alone.

    Raises:
      DataError: what `read_dataset` or `open_coco2017` refuse.
    """
    if name != "coco2017":
        yield read_dataset(name, source, **options)
        return
    for key, value in options.items():
        if value and key != "split":
            raise DataError(f"coco2017 has no option --{key}; its only option is --split")
    with open_coco2017(source, options.get("split"), bar) as dataset:
        yield dataset


def prepare(dataset: Dataset, target: Path, progress: Progress = lambda done, total: None) -> Prepared:
    """Write a dataset to the folder `target`; on an error there is none.

    Every image is decoded, and its bytes are copied as they are.

    Args:
      dataset: what `open_dataset` gives.
      target: as `require_new` wants it.
      progress: hears of images.

    Raises:
      DataError: what `require_new` says; too little space; an image that is missing, cannot be decoded, or has another size than its
        row says.
      OSError: a file cannot be written.
    """
    require_new(target)
    images = dataset.table.images
    length = dataset.images.require(dataset.source, images)
    free = shutil.disk_usage(target.absolute().parent).free
    if length > free:
        raise DataError(f"{target}: {length} bytes of images do not fit in the {free} that are free there; make room")
    notes = list(dataset.notes)
    with TemporaryDirectory(dir=target.absolute().parent, prefix=f"{target.name}.") as folder:
        part = Path(folder) / target.name
        part.mkdir()
        write_records(part, _records(dataset, progress, notes), len(images), length)
        write_index(part, make_index(dataset.document, dataset.table))
        part.rename(target)
    return Prepared(len(images), len(dataset.document["annotations"]), len(dataset.table.categories), tuple(notes))


def require_new(target: Path) -> None:
    """Raise DataError where `prepare` would not write: something that exists, a missing folder around it."""
    if os.path.lexists(target):
        raise DataError(f"{target}: exists already; give the name of a new folder")
    if not target.absolute().parent.is_dir():
        raise DataError(f"{target}: the folder around it does not exist; make it first")


def _records(dataset: Dataset, progress: Progress, notes: list[str]) -> Iterator[Record]:
    """The records of the images; a note of each object that training will not see is added to `notes`."""
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in dataset.document["annotations"]:
        rows[row["image_id"]].append(row)
    for done, image in enumerate(dataset.document["images"]):
        progress(done, len(dataset.document["images"]))
        height, width = image["height"], image["width"]
        where = f"{dataset.source}: image id {image['id']}"
        try:
            content = dataset.images.read(image["file_name"])
            require_readable(Path(image["file_name"]), (height, width), content)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        annotations = [row | {"segmentation": packed(row["segmentation"], height, width)} for row in rows[image["id"]]]
        empty = (row["id"] for row in annotations if not coco_mask.area(row["segmentation"]))
        notes += [f"{where}, annotation id {id_}: it covers no pixel, and training leaves it out" for id_ in empty]
        yield Record(content, image, annotations)
    progress(len(dataset.document["images"]), len(dataset.document["images"]))
