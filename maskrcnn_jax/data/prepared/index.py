"""What is known of a prepared dataset without reading its records: a JSON file beside them."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.data.coco import counted
from maskrcnn_jax.data.coco_json import CocoTable
from maskrcnn_jax.data.json_file import read_json
from maskrcnn_jax.data.source import DataError

FILE, SUM = "index.json", "index.json.sha256"
VERSION = 1
"""Of the index and the records; another one is not read."""
_REMEDY = "copy the folder again, or prepare the data anew"


class Index(NamedTuple):
    """The index, but for the version and the files' lengths and digests.

    digest: 64 hex digits that change when rows do.
    category_rows: of the COCO file.
    others: what else it holds besides images and annotations.
    file_names: of each image.
    federated, image_ids, sizes, object_counts, labels_present: those of the source.
    """

    digest: str
    category_rows: list[dict[str, Any]]
    others: dict[str, Any]
    file_names: list[str]
    federated: bool
    image_ids: Int[np.ndarray, "n"]
    sizes: Int[np.ndarray, "n 2"]
    object_counts: Int[np.ndarray, "n"]
    labels_present: Int[np.ndarray, "m 2"]


def make_index(document: dict[str, Any], table: CocoTable) -> Index:
    """The index of a dataset of the rows `document`, which `table` has checked."""
    counts, present = counted(table.objects)
    return Index(
        digest=hashlib.sha256(json.dumps(document).encode()).hexdigest(),
        category_rows=document["categories"],
        others={key: value for key, value in document.items() if key not in ("images", "annotations", "categories")},
        file_names=[image.file_name for image in table.images],
        federated=table.federated,
        image_ids=np.array([image.id for image in table.images], np.int64),
        sizes=np.array([image.size for image in table.images], np.int64).reshape(-1, 2),
        object_counts=counts,
        labels_present=present,
    )


def write_index(folder: Path, index: Index) -> None:
    """Write the index of the files that are in `folder`, with digests of those that no library verifies, and a file of its own digest."""
    files = sorted(folder.iterdir())
    fields = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in index._asdict().items()}
    lengths = {path.name: path.stat().st_size for path in files}
    digests = {path.name: _digest(path) for path in files if path.suffix == ".json"}
    (folder / FILE).write_text(json.dumps({"version": VERSION, "files": lengths, "digests": digests, **fields}), encoding="utf-8")
    (folder / SUM).write_bytes(_sum(folder))


def read_index(folder: Path) -> Index:
    """The index of a prepared dataset.

    Raises:
      DataError: no such folder; one of something else or of another version; a file that is missing, of another length or damaged.
    """
    remedy = "give a folder that `maskrcnn prepare-data` wrote"
    if folder.is_file():
        raise DataError(f"{folder}: is a file; {remedy}, or, for a JSON file in COCO's format, set --data.kind coco")
    if not (folder / FILE).is_file():
        raise DataError(f"{folder}: no prepared dataset, for it has no {FILE}; {remedy}")
    read = read_json(folder / FILE)
    if not isinstance(read, dict) or "version" not in read:
        raise DataError(f"{folder / FILE}: not the index of a prepared dataset; {remedy}")
    if read["version"] != VERSION:
        raise DataError(f"{folder}: prepared as version {read['version']!r:.40}, and version {VERSION} is read; prepare the data anew")
    if not (folder / SUM).is_file() or (folder / SUM).read_bytes() != _sum(folder):
        raise DataError(f"{folder / FILE}: damaged, for {SUM} has not its digest; {_REMEDY}")
    _require_files(folder, read["files"], read["digests"])
    return Index(
        digest=read["digest"],
        category_rows=read["category_rows"],
        others=read["others"],
        file_names=read["file_names"],
        federated=read["federated"],
        image_ids=np.array(read["image_ids"], np.int64),
        sizes=np.array(read["sizes"], np.int64).reshape(-1, 2),
        object_counts=np.array(read["object_counts"], np.int64),
        labels_present=np.array(read["labels_present"], np.int32).reshape(-1, 2),
    )


def _require_files(folder: Path, lengths: dict[str, int], digests: dict[str, str]) -> None:
    """Raise DataError unless each file is there, of its length and, where it has one, its digest."""
    for name, length in lengths.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != length:
            what = "missing" if found is None else f"{found} bytes long instead of {length}"
            raise DataError(f"{folder / name}: {what}; {_REMEDY}")
        if name in digests and digests[name] != _digest(folder / name):
            raise DataError(f"{folder / name}: damaged, for it has another digest than {FILE} says; {_REMEDY}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sum(folder: Path) -> bytes:
    """What `sha256sum` writes of the index, and checks."""
    return f"{_digest(folder / FILE)}  {FILE}\n".encode()
